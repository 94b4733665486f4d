import type { ParamSpec, Settings } from '../../../src/contracts/index.js';
import type { AttentionConfig, AttentionContext, AttentionMethod, AttentionView } from '../../../src/nn/attention/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { type PositionMethod, positions } from '../../../src/nn/position/index.js';
import { compile, NDArray, type Tensor, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { randomNumbers } from '../../tensor/autodiff/finiteDifferences.js';

/** Legend: B rows, T tokens, D hidden size, H heads, d head size. Sizes all differ, so that a mixed-up axis shows. */
export const baseConfig: AttentionConfig = {
  hidden_size: 12,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 6,
  attention_bias: false,
  attention_out_bias: false,
  qk_norm: 'none',
  norm: { kind: 'rms', eps: 1e-5, offset: 0 },
  scale: 6 ** -0.5,
  softcap: 0,
  residual_gain: 1,
};

export const contextOf = (method: AttentionMethod, settings: Settings = {}, config: Partial<AttentionConfig> = {}): AttentionContext => ({
  config: { ...baseConfig, ...config },
  settings: { ...method.defaults, ...settings },
});

export const randomArray = (shape: readonly number[], next: () => number, scale = 1): NDArray =>
  new NDArray(
    'f32',
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next() * scale),
  );

/** Parameters by path, drawn large enough that every part counts; `fixed` values are taken where path and shape agree. */
export function drawWeights(method: AttentionMethod, context: AttentionContext, seed: number, fixed: Weights = {}): Weights {
  const next = randomNumbers(seed);
  return Object.fromEntries(
    treeEntries(method.specs(context) as Tree<ParamSpec>).map(([path, { shape }]) => {
      const drawn = randomArray(shape, next, shape.length > 1 ? 2 / Math.sqrt(shape[0] as number) : 0.5);
      const given = fixed[path];
      return [path, given && String(given.shape) === String(shape) ? given : drawn];
    }),
  );
}
export type Weights = Readonly<Record<string, NDArray>>;

/** {'a.weight': x} -> {a: {weight: x}} */
export function nested(flat: Readonly<Record<string, Tensor>>): ParamTree<Tensor> {
  const out: Record<string, Record<string, Tensor>> = {};
  for (const [path, x] of Object.entries(flat)) {
    const [name, leaf] = path.split('.') as [string, string];
    out[name] = { ...out[name], [leaf]: x };
  }
  return out;
}

export interface LayerOptions {
  readonly view?: Partial<AttentionView>;
  /** default rope; null leaves queries and keys as they are */
  readonly position?: PositionMethod | null;
}

/** One attention layer as the decoder applies it: x [B, T, D] -> [B, T, D]. */
export function attentionLayer(
  method: AttentionMethod,
  context: AttentionContext,
  flat: Readonly<Record<string, Tensor>>,
  x: Tensor,
  { view = {}, position = positions.rope as PositionMethod }: LayerOptions = {},
): Tensor {
  const weights = nested(flat);
  const [heads, size] = method.queryShape(context);
  const config = { hidden_size: context.config.hidden_size, num_attention_heads: heads, head_dim: size, max_position_embeddings: 32 };
  const at = { count: x.shape[1] as number };
  const applied = position?.apply({ config, settings: position.defaults, weights: {}, queries: at, keys: at }) ?? {};
  const turn = applied.rotate ?? ((h: Tensor) => h);
  const { q, k, v } = method.project(weights, x, context);
  const late = method.makesKeysLate?.(context) ?? false;
  const full: AttentionView = {
    causal: true,
    window: 0,
    scale: context.config.scale,
    softcap: context.config.softcap,
    name: 'attn',
    ...(applied.bias ? { bias: applied.bias } : {}),
    ...(late && applied.rotateKeys ? { rotateKeys: applied.rotateKeys } : {}),
    ...view,
  };
  const mixed = method.attend(weights, { q: turn(q), k: late ? k : turn(k), v }, full, context);
  return method.output(weights, mixed, x, context);
}

/** Runs one layer on the float64 reference. */
export async function runLayer(
  method: AttentionMethod,
  context: AttentionContext,
  weights: Weights,
  x: NDArray,
  options: LayerOptions & { readonly mask?: NDArray } = {},
): Promise<NDArray> {
  const { mask } = options;
  const layer = compile(
    (w: Readonly<Record<string, Tensor>>, input: Tensor, seen: { mask?: Tensor }) =>
      attentionLayer(method, context, w, input, { ...options, view: { ...options.view, ...seen } }),
    { backend: 'reference' },
  );
  const out = await layer.run(weights, x, mask ? { mask } : {});
  layer.dispose();
  return out;
}

export const largestGap = (a: NDArray, b: NDArray): number => {
  const [x, y] = [a.toNumbers(), b.toNumbers()];
  if (String(a.shape) !== String(b.shape)) throw new Error(`shapes differ: [${a.shape}] and [${b.shape}]`);
  return Math.max(...x.map((v, i) => Math.abs(v - (y[i] as number))));
};
