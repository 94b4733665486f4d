import type { Tensor } from '../../../tensor/graph.js';
import { logSoftmax } from '../../../tensor/ops/activation.js';
import { onesLike, zerosLike } from '../../../tensor/ops/create.js';
import { add, cast, clip, div, eq, exp, gt, log, maximum, mul, neg, stopGradient, sub, where } from '../../../tensor/ops/elementwise.js';
import { oneHot, takeAlong } from '../../../tensor/ops/indexing.js';
import { squeeze, unsqueeze } from '../../../tensor/ops/movement.js';
import type { Operand } from '../../../tensor/ops/operand.js';
import { topK } from '../../../tensor/ops/order.js';
import { logsumexp, sum } from '../../../tensor/ops/reduce.js';
import { concat } from '../../../tensor/ops/slicing.js';
import type { LossContext, Surrogate } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';

/**
 * Projection of distributions onto a KL ball around others, differentiable (Becker et al. 2025, arXiv:2510.03817, equations 3 and 4):
 *   argmin_p KL(p | q)  with  KL(p | o) <= bound:   p_a proportional to o^(1-a) q^a,   a = 1 / (1 + eta) in (0, 1], the largest with KL(p_a | o) <= bound
 * Legend: q new policy, o old policy, E entries of a distribution (along the last axis).
 */

export interface Projection {
  /** log p [..., E]; about -1e4 at entries that are not there */
  readonly logp: Tensor;
  /** KL(p | o) [..., 1] */
  readonly kl: Tensor;
  /** f32 [..., 1]: 1 where q lies outside of the ball */
  readonly moved: Tensor;
}

/** Stands for the logarithm of 0: its exponential is 0, and products with 0 stay 0. */
const absent = -1e4;
const halvings = 12;

/**
 * `logq`, `logo` [..., E]: log-probabilities, of which those with `present` (f32 [..., E], 0 or 1) count and sum to 1. KL(p_a | o) rises with a at the rate
 * a Var_p(log q - log o), so a bisection and a Newton step find a; a further Newton step that keeps its gradient has the derivative of the implicit function.
 */
export function projectKl(logq: Tensor, logo: Tensor, bound: Operand, present?: Tensor): Projection {
  const kept = (x: Tensor, otherwise: number): Tensor => (present ? where(gt(present, 0), x, otherwise) : x);
  const base = kept(stopGradient(logo), absent);
  const gap = kept(sub(logq, stopGradient(logo)), 0);
  const last = { axis: -1, keepDims: true } as const;
  const at = (a: Operand, d: Tensor) => {
    const raw = add(base, mul(a, d));
    const total = logsumexp(raw, last);
    const p = exp(sub(raw, total));
    const mean = sum(mul(p, d), last);
    return { raw, total, p, mean, kl: sub(mul(a, mean), total) };
  };
  const fixed = stopGradient(gap);
  const newton = (a: Tensor, d: Tensor): Tensor => {
    const { p, mean, kl } = at(a, d);
    const off = sub(fixed, stopGradient(mean));
    const rate = mul(a, sum(mul(stopGradient(p), mul(off, off)), last));
    return sub(a, div(sub(kl, bound), maximum(rate, 1e-8)));
  };
  const outside = gt(at(1, fixed).kl, bound);
  let low = mul(sum(fixed, last), 0);
  let high = add(low, 1);
  for (let i = 0; i < halvings; i++) {
    const middle = mul(0.5, add(low, high));
    const inside = gt(bound, at(middle, fixed).kl);
    low = where(inside, middle, low);
    high = where(inside, high, middle);
  }
  const near = stopGradient(clip(newton(mul(0.5, add(low, high)), fixed), low, high));
  const { raw, total, kl } = at(where(outside, newton(near, gap), 1), gap);
  return { logp: sub(raw, total), kl, moved: cast(outside, 'f32') };
}

/** The same tokens of two policies [B, T, E]; f32 masks of those that are there (absent = all) and of the one that was drawn. */
interface Entries {
  readonly logq: Tensor;
  readonly logo: Tensor;
  readonly present?: Tensor;
  readonly drawn: Tensor;
}

/** Logarithm of what the probabilities of the entries [B, T, E] leave: [B, T, 1]. */
const restOf = (logp: Tensor): Tensor => log(maximum(sub(1, sum(exp(logp), { axis: -1, keepDims: true })), 1e-12));

/** The `count` most probable tokens of the old policy, the drawn one where it is not among them, and all others as one entry. */
function topEntries({ policy, old }: Pick<LossContext, 'policy' | 'old'>, count: number): Entries {
  const [logq, logo] = [logSoftmax(policy.logits()), stopGradient(logSoftmax(old.logits()))];
  const vocabulary = logq.shape[2] as number;
  const target = maximum(policy.targets, 0);
  if (count >= vocabulary) return { logq, logo, drawn: oneHot(target, vocabulary) };
  const own = unsqueeze(target, 2);
  const top = topK(logo, count).indices;
  const among = cast(eq(top, own), 'f32');
  const missing = sub(1, sum(among, { axis: -1, keepDims: true }));
  const entriesOf = (x: Tensor): Tensor => {
    const [first, drawn] = [takeAlong(x, top), takeAlong(x, own)];
    return concat([first, drawn, restOf(concat([first, where(gt(missing, 0), drawn, absent)], 2))], 2);
  };
  return {
    logq: entriesOf(logq),
    logo: entriesOf(logo),
    present: concat([onesLike(among), missing, onesLike(missing)], 2),
    drawn: concat([among, missing, zerosLike(missing)], 2),
  };
}

/**
 * -p(o_t) / pi_old(o_t) A + troll_alpha KL(pi | sg p), p the projection of pi onto the KL ball around the policy at the start of the step. Within the ball
 * it is -rho A, and the second term vanishes with its gradient.
 */
export const trustRegionProjection: Surrogate = {
  name: 'trust-region-projection',
  defaults: { troll_bound: 0.05, troll_alpha: 1, troll_top_k: 64 },
  needs: ['old-policy'],
  loss: (context) => {
    const { advantage, old_logp, knob, settings, mask } = context;
    const { logq, logo, present, drawn } = topEntries(context, Math.max(1, Math.floor(Number(settings.troll_top_k))));
    const { logp, kl, moved } = projectKl(logq, logo, knob('troll_bound'), present);
    const ratio = exp(clip(sub(sum(mul(logp, drawn), { axis: 2 }), old_logp), -20, 20));
    const own = present ? where(gt(present, 0), logq, absent) : logq;
    const back = sum(mul(exp(own), sub(own, stopGradient(logp))), { axis: 2 });
    return {
      loss: add(neg(mul(ratio, advantage)), mul(knob('troll_alpha'), back)),
      metrics: { 'troll/projected_mean': maskedMean(squeeze(moved, 2), mask), 'troll/kl_mean': maskedMean(squeeze(kl, 2), mask) },
    };
  },
};
