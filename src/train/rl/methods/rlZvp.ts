import { wrap } from '../compose.js';
import { withZeroVariance } from '../parts/entropyCredit.js';
import type { RlMethod } from './slot.js';

/**
 * RL-ZVP (Le et al. 2025, arXiv:2509.21880, equation 5): problems that all completions solve, or none, teach something too.
 *   A_t = alpha H_t where all are right,   A_t = -alpha (max_k H_k - H_t) where all are wrong,   grpo's advantage elsewhere
 * Against grpo: a wrapper of the advantage. Uncertain tokens of right answers gain most, and uncertain tokens of wrong ones lose least.
 */
export const rlZvp: RlMethod = {
  id: 'rl-zvp',
  summary: 'groups of equal rewards are credited by correctness and the entropy of each token',
  seed: 'P268',
  paper: 'arXiv:2509.21880',
  equation: 'A_t = alpha H_t (all right), -alpha (max_k H_k - H_t) (all wrong), A of grpo elsewhere',
  parent: 'grpo',
  defaults: { zvp_alpha: 0.1, right_above: 0.5 },
  knobs: { zvp_alpha: 'advantage for each nat of entropy', right_above: 'a reward above it is a right answer' },
  limits: [
    { slot: 'advantage', settings: { zvp_alpha: 0 }, tolerance: 0 },
    { slot: 'advantage', settings: {}, inputs: 'rewards that differ', tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: ['alpha 0.1', 'right is a reward above 1/2 (paper: rewards of 0 and 1)'],
  demo: {
    testbed: 'arithmetic-graded',
    baseline: 'grpo',
    method: 'grpo+rl-zvp',
    metric: 'pass@1',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { advantage: wrap(withZeroVariance) },
};
