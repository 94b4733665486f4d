import { leaveOneOut } from '../parts/advantage.js';
import type { RlMethod } from './slot.js';

/**
 * REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, arXiv:2402.14740).
 *   A_i = r_i - mean_{j != i} r_j,   r includes -kl_coef sum_t log(pi / ref)
 * Against reinforce: the advantage.
 */
export const rloo: RlMethod = {
  id: 'rloo',
  summary: 'the mean of the other completions of a problem is the baseline',
  paper: 'arXiv:2402.14740',
  equation: 'A_i = r_i - mean_{j != i} r_j',
  parent: 'reinforce',
  defaults: { kl_coef: 0.05 },
  knobs: { kl_coef: 'coefficient of the KL to the reference within the reward; 0 = no reference' },
  limits: [{ slot: 'advantage', settings: { kl_coef: 0 }, inputs: 'others worth nothing', tolerance: 1e-12 }],
  provenance: 'paper',
  assumes: ['kl_coef 0.05 as TRL has it'],
  recipe: true,
  slots: { advantage: leaveOneOut },
};
