import { VitroError } from '../../../tensor/errors.js';
import type { RolloutBatch } from '../batch.js';
import type { Advantage } from '../contract.js';

/**
 * Matching the reference policy filtered by correctness (Kruszewski et al. 2025, arXiv:2512.05962). Legend: pi the policy that sampled, t the ratio of its
 * probability of an answer to that under the target p(y) = ref(y) 1(y right) / Z.
 */

/** log (pi / ref) of each sample [N]: the sum over the tokens that the policy chose. */
function logRatios(batch: RolloutBatch): Float64Array {
  const reference = batch.reference_logp;
  if (!reference)
    throw new VitroError("alpha-dpg: there are no log-probabilities of the reference; keep the need 'reference' of its advantage");
  return Float64Array.from(batch.samples, (_, n) => {
    const { start, end } = batch.span(n);
    let sum = 0;
    for (let k = start; k < end; k++) if (batch.actions[k] === 1) sum += (batch.old_logp[k] as number) - (reference[k] as number);
    return sum;
  });
}

/**
 * The negative slope of the generator of the alpha-divergence at t, leave-one-out over the group:
 *   f_i = min(t_i^(alpha-1) - 1, dpg_clip),   -1 for a wrong answer (t infinite);   A_i = f_i - mean of the others' f
 * Z is the group's mean of 1(right) ref / pi, at most 1.
 */
export const alphaDivergence: Advantage = {
  name: 'alpha-divergence',
  defaults: { dpg_alpha: 0.5, dpg_clip: 10, right_above: 0.5 },
  needs: ['reference'],
  compute: (batch, context) => {
    const alpha = context.number('dpg_alpha');
    if (!(alpha >= 0 && alpha < 1)) throw new VitroError(`alpha-dpg: dpg_alpha must be at least 0 and below 1, got ${alpha}`);
    const [most, threshold] = [context.number('dpg_clip'), context.number('right_above')];
    const ratios = logRatios(batch);
    let z = 0;
    const out = batch.perGroup((rewards, g) => {
      const own = ratios.subarray(batch.group(g).start, batch.group(g).end);
      const right = rewards.map((r) => (r > threshold ? 1 : 0));
      const mean = own.reduce((sum, x, i) => sum + (right[i] === 1 ? Math.exp(-x) : 0), 0) / own.length;
      const Z = Math.min(1, mean);
      z += Z / batch.groups;
      const f = own.map((x, i) => (right[i] === 1 ? Math.min(most, Math.expm1((alpha - 1) * (x + Math.log(Z)))) : -1));
      const total = f.reduce((a, b) => a + b, 0);
      return f.map((x) => (f.length > 1 ? x - (total - x) / (f.length - 1) : 0));
    });
    context.metric('alpha_dpg/z_mean', z);
    return out;
  },
};
