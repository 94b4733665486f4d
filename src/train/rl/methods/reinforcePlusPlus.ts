import { batchNormReturns } from '../parts/advantage.js';
import { tokenMeanAggregate } from '../parts/aggregate.js';
import { ppoClip } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * REINFORCE++ (Hu 2025, arXiv:2501.03262).
 *   R_t = sum_{s >= t} (r_s - kl_coef k1_s),   A = (R - mean R) / std R over all tokens of the batch;   PPO's clip
 * Against reinforce: KL at every token, normalisation over the batch instead of a baseline, the clipped ratio, every token alike.
 */
export const reinforcePlusPlus: RlMethod = {
  id: 'reinforce_plus_plus',
  summary: 'returns with KL at tokens, normalised over the batch, and a clipped ratio',
  paper: 'arXiv:2501.03262',
  equation: 'A_t = (R_t - mean R) / std R, R_t = sum_{s >= t} (r_s - kl_coef log(pi / ref)_s)',
  parent: 'reinforce',
  defaults: { kl_coef: 0.01 },
  knobs: { kl_coef: 'coefficient of the KL to the reference at every token; 0 = no reference' },
  limits: [{ slot: 'surrogate', settings: {}, inputs: 'on policy', compare: 'gradient', tolerance: 1e-6 }],
  provenance: 'paper',
  assumes: ['kl_coef 0.01', 'standard deviation with n - 1 in the denominator'],
  recipe: true,
  slots: { advantage: batchNormReturns, surrogate: ppoClip, aggregate: tokenMeanAggregate },
};
