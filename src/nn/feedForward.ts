import type { Tensor } from '../tensor/graph.js';
import { silu } from '../tensor/ops/activation.js';
import { mul } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { split } from '../tensor/ops/slicing.js';

export interface FeedForwardWeights<T> {
  /** [D, 2F]: gate and up projections side by side */
  readonly gateUp: T;
  /** [F, D] */
  readonly down: T;
}

/** Gated feed-forward (SwiGLU; Shazeer 2020, arXiv:2002.05202): (silu(x G) * (x U)) W for x [..., D]. */
export function gatedFeedForward(weights: FeedForwardWeights<Tensor>, x: Tensor): Tensor {
  const [gate, up] = split(matmul(x, weights.gateUp), 2) as [Tensor, Tensor];
  return matmul(mul(silu(gate), up), weights.down);
}
