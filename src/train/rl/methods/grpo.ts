import { groupNorm } from '../parts/advantage.js';
import { seqMeanTokenMean } from '../parts/aggregate.js';
import { klPenalty } from '../parts/penalty.js';
import type { RlMethod } from './slot.js';

/**
 * Group relative policy optimization (Shao et al. 2024, arXiv:2402.03300).
 *   A_i = (r_i - mean r) / (std r + 1e-4) within the group of a problem;   L = -mean_i mean_t [min(rho A, clip(rho) A) - beta k3(pi, ref)]
 * Against ppo: no value head, the KL in the loss instead of the reward, the mean over samples of means over tokens.
 */
export const grpo: RlMethod = {
  id: 'grpo',
  summary: 'rewards normalised within the completions of a problem, clipped ratio, KL penalty',
  paper: 'arXiv:2402.03300',
  equation: 'A_i = (r_i - mean r) / std r, L = -mean_i mean_t [min(rho A, clip(rho) A) - beta k3]',
  parent: 'ppo',
  defaults: { beta: 0.04, num_iterations: 1 },
  knobs: { beta: 'coefficient of the KL penalty; 0 = no reference', num_iterations: 'epochs over the samples of a step' },
  limits: [{ slot: 'aggregate', settings: {}, inputs: 'equal lengths', tolerance: 1e-15 }],
  provenance: 'paper',
  assumes: ['1e-4 beside the standard deviation, as TRL has it'],
  recipe: true,
  slots: { advantage: groupNorm, aggregate: seqMeanTokenMean, penalty: klPenalty, learners: [] },
};
