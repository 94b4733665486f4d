import type { Advantage } from '../contract.js';
import { byGroup, meanOf, totalRewards } from './advantage.js';

/**
 * A_i = (exp(b r_i) / mean_j exp(b r_j) - 1) / b with b = risk_beta (Jiang et al. 2025, arXiv:2509.24261): the gradient of (1/b) log E exp(b r), which lies
 * between the mean of the rewards (b -> 0) and the largest (b -> infinity). At b = 0 it is r_i - mean.
 */
export const riskSensitive: Advantage = {
  name: 'risk-sensitive',
  defaults: { risk_beta: 2 },
  compute: (batch, context) => {
    const b = context.number('risk_beta');
    return byGroup(batch, totalRewards(batch, 0), (r) => {
      const mean = meanOf(r);
      if (b === 0) return Float64Array.from(r, (x) => x - mean);
      // rewards from their largest exponent on, so that none overflows
      const top = Math.max(...Array.from(r, (x) => b * x));
      const weights = Float64Array.from(r, (x) => Math.exp(b * x - top));
      const average = meanOf(weights);
      return weights.map((w) => (w / average - 1) / b);
    });
  },
};

/**
 * The advantages of another part times N / (N - M), M the samples of groups without any advantage (Chu et al. 2025, arXiv:2504.02546): the mean over a
 * batch is then one over the samples that have a gradient.
 */
export const scaledToSignal = (inner: Advantage): Advantage => ({
  ...inner,
  name: `${inner.name}, scaled to signal`,
  prepare: async (batch, context) => inner.prepare?.(batch, context.of(inner)),
  compute: (batch, context) => {
    const given = inner.compute(batch, context.of(inner));
    const values = given.length === batch.tokens ? given : batch.spread(given);
    let quiet = 0;
    for (let g = 0; g < batch.groups; g++) {
      const { start, end, size } = batch.group(g);
      const own = values.subarray(batch.token_offsets[start], batch.token_offsets[end]);
      if (own.every((a) => a === 0)) quiet += size;
    }
    context.metric('gpg/quiet_mean', quiet / Math.max(1, batch.size));
    const factor = quiet < batch.size ? batch.size / (batch.size - quiet) : 1;
    return values.map((a) => a * factor);
  },
});
