import { exp, mul, neg, sub } from '../../../tensor/ops/elementwise.js';
import type { MinibatchView, Surrogate } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';
import { logRatio } from './surrogate.js';

/**
 * The mask of M2PO (Zheng et al. 2025, arXiv:2510.01161, algorithm 1): among the tokens that PPO's clip could hold back (A > 0 and rho > 1, or A < 0 and
 * rho < 1), those of the largest (log rho)^2 are left out until the mean of it over the others is at most `threshold`.
 * @returns [M] 1 = the token stays
 */
export function secondMomentMask(
  { logp, old_logp, advantage }: Pick<MinibatchView, 'logp' | 'old_logp' | 'advantage'>,
  threshold: number,
): Float64Array {
  const log = logp.map((x, k) => x - (old_logp[k] as number));
  const squares = log.map((d) => d * d);
  const trusted = [...log.keys()].filter((k) => (log[k] as number) * (advantage[k] as number) > 0);
  trusted.sort((a, b) => (squares[a] as number) - (squares[b] as number) || a - b);
  const keep = new Float64Array(log.length).fill(1);
  let sum = 0;
  for (const [i, k] of trusted.entries()) {
    sum += squares[k] as number;
    // in rising order the running mean never falls again
    if (sum > threshold * (i + 1)) keep[k] = 0;
  }
  return keep;
}

/** -rho A at the tokens that the mask keeps, 0 at the others; there is no clip. */
export const secondMomentTrust: Surrogate = {
  name: 'second-moment-trust',
  defaults: { m2_threshold: 0.04 },
  stage: (view, context) => ({ columns: { m2_keep: secondMomentMask(view, context.number('m2_threshold')) } }),
  loss: (context) => {
    const { advantage, column, mask } = context;
    const keep = column('m2_keep');
    const loss = neg(mul(mul(exp(logRatio(context)), advantage), keep));
    return { loss, metrics: { 'm2po/masked_mean': maskedMean(sub(1, keep), mask) } };
  },
};
