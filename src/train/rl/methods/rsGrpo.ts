import { riskSensitive } from '../parts/groupCredit.js';
import type { RlMethod } from './slot.js';

/**
 * Risk-sensitive GRPO (Jiang et al. 2025, arXiv:2509.24261).
 *   J = (1/b) log E exp(b r),   A_i = (exp(b r_i) / mean_j exp(b r_j) - 1) / b
 * Against grpo: the advantage; rare successes on hard problems count for more than common ones, and nothing divides by the standard deviation.
 */
export const rsGrpo: RlMethod = {
  id: 'rs-grpo',
  summary: 'advantages of an exponential utility between mean and best reward',
  seed: 'P131',
  paper: 'arXiv:2509.24261',
  equation: 'A_i = (exp(b r_i) / mean_j exp(b r_j) - 1) / b',
  parent: 'grpo',
  defaults: { risk_beta: 2 },
  knobs: { risk_beta: 'b: 0 = the mean of the rewards, large = the best one' },
  limits: [{ slot: 'advantage', settings: { risk_beta: 0 }, parent_settings: { scale_rewards: 'none' }, tolerance: 1e-12 }],
  provenance: 'repo',
  assumes: ["grpo's KL penalty stays"],
  demo: { testbed: 'countdown-diverse', baseline: 'grpo', metric: 'pass@16', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { advantage: riskSensitive },
};
