import { tokenMeanAggregate } from '../parts/aggregate.js';
import { secondMomentTrust } from '../parts/secondMoment.js';
import type { RlMethod } from './slot.js';

/**
 * M2PO (Zheng et al. 2025, arXiv:2510.01161, algorithm 1 and equation 5).
 *   L = -1/(sum_i l_i) sum M rho A;   M leaves out the tokens of largest (log rho)^2 until its mean over those that a clip could hold back is <= m2_threshold
 * Against grpo: this mask instead of the clip; every token alike.
 */
export const m2po: RlMethod = {
  id: 'm2po',
  summary: 'masks the most extreme ratios until their second moment is small, instead of a clip',
  seed: 'P110',
  paper: 'arXiv:2510.01161',
  equation: 'L = -mean_t M rho A, mean (log rho)^2 <= m2_threshold over the kept tokens with (rho - 1) A > 0',
  parent: 'grpo',
  defaults: { m2_threshold: 0.04 },
  knobs: { m2_threshold: 'largest mean of (log rho)^2 over the tokens that a clip could hold back' },
  limits: [
    { slot: 'surrogate', settings: {}, inputs: 'ratios near 1', tolerance: 1e-6 },
    { slot: 'aggregate', settings: {}, inputs: 'equal lengths', tolerance: 1e-15 },
  ],
  provenance: 'paper',
  assumes: ["grpo's KL penalty stays (the paper does not speak of one)"],
  demo: { testbed: 'countdown-stale', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { surrogate: secondMomentTrust, aggregate: tokenMeanAggregate },
};
