import type { ParamSpec } from '../contracts/index.js';
import type { Tensor } from '../tensor/graph.js';
import { mul } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reshape, transpose, unsqueeze } from '../tensor/ops/movement.js';
import { sum } from '../tensor/ops/reduce.js';
import { site } from '../tensor/site.js';
import { activations, type FeedForwardConfig, type RouterChoice } from './feedForward.js';
import { paramSpec } from './param.js';
import { routers } from './router/index.js';
import type { RouterMethod } from './router/slot.js';

/** A mixture of E gated feed-forward layers. Expert weights are stacked: one parameter holds E matrices [in, out]. */
export interface Experts<T> {
  /** [D, E] */
  readonly gate: { readonly weight: T };
  readonly experts: {
    /** [E, D, F] */
    readonly gate_proj: T;
    /** [E, D, F] */
    readonly up_proj: T;
    /** [E, F, D] */
    readonly down_proj: T;
  };
}

/** Parameters of a mixture of `count` experts, each of `config.intermediate_size`. */
export function expertSpecs(config: FeedForwardConfig, count: number): Experts<ParamSpec> {
  const { hidden_size: D, intermediate_size: F, residual_gain } = config;
  const stack = (fanIn: number, fanOut: number, gain: number): ParamSpec =>
    paramSpec('matrix', [count, fanIn, fanOut], { kind: 'normal', std: Math.sqrt(1 / (3 * fanIn)) * gain });
  return {
    gate: { weight: paramSpec('matrix', [D, count], { kind: 'normal', std: Math.sqrt(1 / (3 * D)) }) },
    experts: { gate_proj: stack(D, F, 1), up_proj: stack(D, F, 1), down_proj: stack(F, D, residual_gain) },
  };
}

/**
 * Mixture of experts for x [B, T, D]: every expert is computed for every token and weighted by the router, which costs E/k of a sparse
 * dispatch but needs no capacity limit. Sites: `name.router.logits` and `name.router.weights` [B*T, E].
 */
export function mixtureOfExperts(
  config: FeedForwardConfig,
  router: RouterChoice,
  weights: Experts<Tensor>,
  x: Tensor,
  name: string,
): Tensor {
  const [batch, time, width] = x.shape as [number, number, number];
  const rows_ND = reshape(x, [batch * time, width]);
  const logits_NE = site(`${name}.router.logits`, matmul(rows_ND, weights.gate.weight));
  const method = routers[router.method] as RouterMethod;
  const weights_NE = site(`${name}.router.weights`, method.route(logits_NE, { ...method.defaults, ...router.settings }));
  const act = activations[config.hidden_act] as (x: Tensor) => Tensor;
  const { gate_proj, up_proj, down_proj } = weights.experts;
  const each_1ND = unsqueeze(rows_ND, 0);
  const hidden_ENF = site(`${name}.hidden`, mul(act(matmul(each_1ND, gate_proj)), matmul(each_1ND, up_proj)));
  const out_END = matmul(hidden_ENF, down_proj);
  const share_EN1 = unsqueeze(transpose(weights_NE, [1, 0]), 2);
  return reshape(sum(mul(out_END, share_EN1), { axis: 0 }), [batch, time, width]);
}
