import { gae } from '../parts/advantage.js';
import { tokenMeanAggregate } from '../parts/aggregate.js';
import { ppoClip } from '../parts/surrogate.js';
import { valueHead } from '../parts/valueHead.js';
import type { RlMethod } from './slot.js';

/**
 * PPO on token level with a value head (Schulman et al. 2017, arXiv:1707.06347; Ouyang et al. 2022).
 *   L = -mean_t min(rho A, clip(rho, 1 - epsilon, 1 + epsilon) A) + vf_coef L_value,   A from GAE, KL to the reference in the rewards
 * Against reinforce: values instead of nothing, the clipped ratio, several epochs.
 */
export const ppo: RlMethod = {
  id: 'ppo',
  summary: 'clipped ratio, generalized advantages from a value head, several epochs',
  paper: 'arXiv:1707.06347',
  equation: 'L = -mean_t min(rho A, clip(rho, 1 - e, 1 + e) A), A_t = sum_l (gamma lam)^l d_{t+l}',
  parent: 'reinforce',
  defaults: { kl_coef: 0.05, num_iterations: 4 },
  knobs: {
    kl_coef: 'coefficient of the KL to the reference at every token; 0 = no reference',
    num_iterations: 'epochs over the samples of a step',
  },
  limits: [{ slot: 'surrogate', settings: {}, inputs: 'on policy', compare: 'gradient', tolerance: 1e-6 }],
  provenance: 'paper',
  assumes: ['the value head shares the layers of the policy', 'kl_coef 0.05 and 4 epochs as TRL has them'],
  recipe: true,
  slots: { advantage: gae, surrogate: ppoClip, aggregate: tokenMeanAggregate, learners: [valueHead] },
};
