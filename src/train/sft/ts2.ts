import type { Tensor } from '../../tensor/graph.js';
import { iota } from '../../tensor/ops/create.js';
import {
  add,
  cast,
  div,
  eq,
  exp,
  gt,
  log,
  lt,
  maximum,
  minimum,
  mul,
  neg,
  square,
  stopGradient,
  sub,
} from '../../tensor/ops/elementwise.js';
import { oneHot, takeAlong } from '../../tensor/ops/indexing.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { cumsum, sort } from '../../tensor/ops/order.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { SftMethod } from './slot.js';

/**
 * Sparsemax of scores [..., V] (Martins and Astudillo 2016, arXiv:1602.02068, algorithm 1): p = max(z - tau, 0) with the tau that makes p sum to one.
 * No gradient: losses built on it have their own.
 * @returns p [..., V]
 */
export function sparsemax(scores: Tensor): Tensor {
  const z = stopGradient(scores);
  const V = dimOf(z, -1) as number;
  const sorted = sort(z, { descending: true });
  const sums = cumsum(sorted);
  const k = cast(add(iota([V]), 1), 'f32');
  const support = sum(cast(gt(add(mul(k, sorted), 1), sums), 'f32'), { axis: -1, keepDims: true });
  const tau = div(sub(takeAlong(sums, cast(sub(support, 1), 'i32'), -1), 1), support);
  return maximum(sub(z, tau), 0);
}

/** Sparsemax loss [...] of scores [..., V] and targets [...]: -z_y + sum_{support} (z_j^2 - tau^2) / 2 + 1/2, whose gradient is p - onehot(y). */
export function sparsemaxLoss(scores: Tensor, p: Tensor, target: Tensor): Tensor {
  // <p, z> - |p|^2 / 2 + 1/2 is the same value, and p may be held fixed in its gradient (it maximises the first two terms)
  const zy = sum(mul(scores, target), { axis: -1 });
  return add(sub(sub(sum(mul(p, scores), { axis: -1 }), mul(sum(square(p), { axis: -1 }), 0.5)), zy), 0.5);
}

/**
 * TS^2 (Xu et al. 2026, ICLR 2026): sparsemax in training with a term against the mass outside of its support, softmax in testing.
 *   l_t = l_sparsemax(a z_t, x_t) - alpha log(1 - sum_{v outside, v != x_t} softmax(z_t)_v)
 * Against sft: the target. Alternatives that stand within sparsemax's support are not pushed down once the right token leads by enough.
 */
export const ts2: SftMethod = {
  id: 'ts2',
  summary: 'sparsemax loss with a term against tokens outside of its support',
  seed: 'P156',
  paper: 'ICLR 2026, "TS^2: Training with Sparsemax+, Testing with Softmax"',
  equation: 'l_t = l_sparsemax(a z_t, x_t) - alpha log(1 - mass of softmax outside of the support)',
  parent: 'sft',
  defaults: { alpha: 0.1, ts2_temperature: 1 },
  knobs: {
    alpha: 'weight of the term against tokens outside of the support; 0 is the sparsemax loss',
    ts2_temperature: 'factor of the logits within the sparsemax loss',
  },
  limits: [],
  provenance: 'repo',
  assumes: ['the mass outside is bounded by 0.99 in the logarithm, as in the code of the authors', 'alpha 0.1'],
  demo: { testbed: 'sft-many-answers', baseline: 'sft', metric: 'eval_distinct_right', cost: 'tokens', expect: 'gain' },
  needs: ['logits'],
  target: ({ policy, batch, sequences, settings }) => {
    const { logits } = policy;
    const scores = mul(logits, Number(settings.ts2_temperature));
    const p = sparsemax(scores);
    const target = oneHot(maximum(batch.targets, 0), dimOf(logits, -1));
    const outside = mul(cast(eq(p, 0), 'f32'), cast(lt(target, 0.5), 'f32'));
    const mass = minimum(sum(mul(exp(policy.logprobs), outside), { axis: -1 }), 0.99);
    const suppression = neg(log(sub(1, mass)));
    return mul(add(sparsemaxLoss(scores, p, target), mul(suppression, Number(settings.alpha))), sequences.counted);
  },
};
