import type { Init, ParamSpec } from '../contracts/index.js';
import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { add } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';

/** Parameters of a layer by name: of specs, of host arrays or of tensors. Paths are those of Hugging Face checkpoints, e.g. `self_attn.q_proj.weight`. */
export interface ParamTree<T> {
  readonly [name: string]: T | ParamTree<T> | undefined;
}

/** A linear map: weight [in, out] (Hugging Face stores [out, in]), bias [out]. */
export interface Linear<T> {
  readonly weight: T;
  readonly bias?: T;
}

/** One parameter of a model. */
export const paramSpec = (role: ParamSpec['role'], shape: readonly number[], init: Init): ParamSpec => ({
  isTreeLeaf: true,
  role,
  shape,
  init,
});

export interface LinearSpecOptions {
  /** default false */
  readonly bias?: boolean;
  /** factor of the initial standard deviation; below 1 for maps that write to the residual stream */
  readonly gain?: number;
}

/** A linear map with initial variance gain^2 / (3 fan_in), as of PyTorch's linear layers (Kaiming uniform with a = sqrt 5), but normal. */
export const linearSpec = (fanIn: number, fanOut: number, { bias = false, gain = 1 }: LinearSpecOptions = {}): Linear<ParamSpec> => ({
  weight: paramSpec('matrix', [fanIn, fanOut], { kind: 'normal', std: Math.sqrt(1 / (3 * fanIn)) * gain }),
  ...(bias ? { bias: paramSpec('vector', [fanOut], { kind: 'zeros' }) } : {}),
});

/** x W + b for x [..., in]. */
export function linear({ weight, bias }: Linear<Tensor>, x: Tensor): Tensor {
  const product = matmul(x, weight);
  return bias ? add(product, bias) : product;
}

/** The linear map or norm called `name` among a layer's parameters. */
export function weightsOf(weights: ParamTree<Tensor>, name: string): Linear<Tensor> {
  const found = weights[name] as Linear<Tensor> | undefined;
  if (found?.weight === undefined)
    throw new VitroError(`the layer has no parameter "${name}.weight"; it has ${Object.keys(weights).join(', ')}`);
  return found;
}
