import type { Tensor } from '../../../tensor/graph.js';
import { logSoftmax } from '../../../tensor/ops/activation.js';
import { iota } from '../../../tensor/ops/create.js';
import { add, and, cast, eq, gt, mul, square, stopGradient, sub } from '../../../tensor/ops/elementwise.js';
import { mean } from '../../../tensor/ops/reduce.js';
import { pad, slice } from '../../../tensor/ops/slicing.js';
import type { LossContext, Surrogate } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';

/** x of the next position [B, T], 0 behind the last one. */
const shifted = (x: Tensor): Tensor => pad(slice(x, { 1: [1] }), { 1: [0, 1] });

/** 1 where the next position predicts a further token of the same sample that trains, f32 [B, T]. */
function continues({ sequence, mask }: Pick<LossContext, 'sequence' | 'mask'>): Tensor {
  const number = sequence.spread(cast(iota([sequence.present.shape[0] as number]), 'f32'));
  return cast(and(eq(shifted(number), number), gt(shifted(mask), 0)), 'f32');
}

/**
 * Values of the uniformly random policy in the policy's logits (He et al. 2025, arXiv:2509.24981):
 *   Q(s, a) = rover_rho (log pi - log pi_old),   loss = (Q(s_t, a_t) - sg(A + 1/V sum_a' Q(s_{t+1}, a')))^2,   nothing follows the last token
 */
export const randomPolicyValue: Surrogate = {
  name: 'random-policy-value',
  defaults: { rover_rho: 1 },
  needs: ['old-policy', 'sequences'],
  loss: (context) => {
    const { policy, old, old_logp, advantage, knob, mask } = context;
    const value = mul(knob('rover_rho'), sub(policy.logp, old_logp));
    const gap = stopGradient(sub(logSoftmax(policy.logits()), logSoftmax(old.logits())));
    const next = mul(mul(knob('rover_rho'), shifted(mean(gap, { axis: 2 }))), continues(context));
    const target = stopGradient(add(advantage, next));
    return {
      loss: square(sub(value, target)),
      metrics: { 'rover/value_mean': maskedMean(value, mask), 'rover/next_mean': maskedMean(next, mask) },
    };
  },
};
