import { seqMeanTokenSumNorm } from '../parts/aggregate.js';
import type { RlMethod } from './slot.js';

/**
 * Dr. GRPO (Liu et al. 2025, arXiv:2503.20783).
 *   A_i = r_i - mean r;   L = -1/N sum_i sum_t [...] / max_completion_length
 * Against grpo: neither the standard deviation nor the length of a sample divides, so hard and easy problems and long and short answers weigh alike.
 */
export const drGrpo: RlMethod = {
  id: 'dr_grpo',
  summary: 'GRPO without the division by standard deviation and length',
  paper: 'arXiv:2503.20783',
  equation: 'A_i = r_i - mean r, L = -1/(N L_max) sum_i sum_t min(rho A, clip(rho) A)',
  parent: 'grpo',
  defaults: { scale_rewards: 'none', beta: 0 },
  knobs: {
    scale_rewards: 'group, batch or none: which standard deviation divides',
    beta: 'coefficient of the KL penalty; 0 = no reference',
  },
  limits: [
    { slot: 'advantage', settings: { scale_rewards: 'group' }, tolerance: 0 },
    { slot: 'aggregate', settings: {}, inputs: 'full lengths', tolerance: 1e-15 },
  ],
  provenance: 'paper',
  assumes: [],
  recipe: true,
  slots: { aggregate: seqMeanTokenSumNorm },
};
