import { selfCertainty } from '../parts/selfCertainty.js';
import type { RlMethod } from './slot.js';

/**
 * Intuitor (Zhao et al. 2025, arXiv:2505.19590): the policy's own certainty is the only reward.
 *   r = mean_t KL(U || pi(. | x, y_<t)) = mean_t [-1/V sum_v log pi_v] - log V
 * Against grpo: the reward, from the weights of the moment; the user's reward functions are not asked.
 */
export const intuitor: RlMethod = {
  id: 'intuitor',
  summary: 'self-certainty as the only reward',
  seed: 'P255',
  paper: 'arXiv:2505.19590',
  equation: 'r = mean_t KL(U || pi_t)',
  parent: 'grpo',
  defaults: {},
  limits: [{ slot: 'reward', settings: {}, inputs: 'uniform policy', tolerance: 1e-12 }],
  provenance: 'repo',
  assumes: ["the coefficient of the KL penalty is the parent's (repository: 0.005)"],
  demo: { testbed: 'arithmetic-unlabelled', baseline: 'ttrl', metric: 'pass@1', cost: 'generated tokens', expect: 'equivalent' },
  slots: { reward: selfCertainty },
};
