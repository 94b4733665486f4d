import { wrap } from '../compose.js';
import { greedyBaseline } from '../parts/advantage.js';
import { withGreedy } from '../parts/sampling.js';
import type { RlMethod } from './slot.js';

/**
 * ReMax (Li et al. 2023, arXiv:2310.10505).
 *   A_i = r_i - r(greedy completion of the same problem)
 * Against reinforce: one more completion of each problem, without randomness, whose reward is the baseline.
 */
export const remax: RlMethod = {
  id: 'remax',
  summary: 'the reward of the greedy completion is the baseline',
  paper: 'arXiv:2310.10505',
  equation: 'A_i = r_i - r_greedy',
  parent: 'reinforce',
  defaults: {},
  limits: [{ slot: 'advantage', settings: {}, inputs: 'no greedy sample', tolerance: 0 }],
  provenance: 'paper',
  assumes: [],
  recipe: true,
  slots: { rollout: wrap(withGreedy), advantage: greedyBaseline },
};
