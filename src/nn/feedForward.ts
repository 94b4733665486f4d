import type { ParamSpec, Settings } from '../contracts/index.js';
import type { Tensor } from '../tensor/graph.js';
import { gelu, relu, silu } from '../tensor/ops/activation.js';
import { mul, square } from '../tensor/ops/elementwise.js';
import { site } from '../tensor/site.js';
import { type Linear, linear, linearSpec } from './param.js';

/** Activations by the names of config.json. */
export const activations: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  silu,
  swish: silu,
  relu,
  relu2: (x) => square(relu(x)),
  gelu: (x) => gelu(x),
  gelu_new: (x) => gelu(x, { approximate: 'tanh' }),
  gelu_pytorch_tanh: (x) => gelu(x, { approximate: 'tanh' }),
};

export interface FeedForwardConfig {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly hidden_act: string;
  /** (act(x G) * x U) W, or act(x U) W without a gate */
  readonly gated: boolean;
  readonly mlp_bias: boolean;
  /** factor of the initial standard deviation of what writes to the residual stream */
  readonly residual_gain: number;
}

export interface FeedForward<T> {
  /** [D, F] */
  readonly gate_proj?: Linear<T>;
  /** [D, F] */
  readonly up_proj: Linear<T>;
  /** [F, D] */
  readonly down_proj: Linear<T>;
}

/** Parameters of a feed-forward layer. */
export function feedForwardSpecs(config: FeedForwardConfig): FeedForward<ParamSpec> {
  const { hidden_size: D, intermediate_size: F, mlp_bias: bias } = config;
  return {
    ...(config.gated ? { gate_proj: linearSpec(D, F, { bias }) } : {}),
    up_proj: linearSpec(D, F, { bias }),
    down_proj: linearSpec(F, D, { bias, gain: config.residual_gain }),
  };
}

/** Feed-forward, gated (Shazeer 2020, arXiv:2002.05202) or plain, for x [..., D]. Sites: `name.hidden` [..., F]. */
export function feedForward(config: FeedForwardConfig, weights: FeedForward<Tensor>, x: Tensor, name: string): Tensor {
  const act = activations[config.hidden_act] as (x: Tensor) => Tensor;
  const up = linear(weights.up_proj, x);
  const hidden = weights.gate_proj ? mul(act(linear(weights.gate_proj, x)), up) : act(up);
  return linear(weights.down_proj, site(`${name}.hidden`, hidden));
}

/** Which router, and its settings. */
export interface RouterChoice {
  readonly method: string;
  readonly settings: Settings;
}
