import { wrap } from '../compose.js';
import { tokenMeanAggregate } from '../parts/aggregate.js';
import { stepValues, treeSearch } from '../parts/searchRollout.js';
import type { RlMethod } from './slot.js';

/**
 * DeepSearch (Wu et al. 2025, arXiv:2509.25454): groups are solutions that a tree search found. A node is expanded by steps; of the solutions among them the surest one is chosen
 * and backed up; after one, the search goes on at the best node of the whole frontier. Steps are credited with the values of their nodes; a solution of a problem that is
 * seldom solved is kept and replayed instead of searching again.
 *   F(s) = l1 tanh Q(parent) + l2 H(s) + l3 sqrt(depth / D);   v <- v + max(depth / |path|, 0.1) r (guarded by sign);   A_t = q(s_t) - mean outcome
 * Against grpo: rollout, advantage, token mean, higher clip, no KL.
 */
export const deepsearch: RlMethod = {
  id: 'deepsearch',
  summary: 'groups come from a tree search over steps, whose values are the credit',
  seed: 'P213',
  paper: 'arXiv:2509.25454',
  equation: 'F(s) = l1 tanh Q(parent) + l2 H(s) + l3 sqrt(depth / D), A_t = tanh v(s_t) - mean outcome',
  parent: 'grpo',
  defaults: { beta: 0, epsilon_high: 0.28, deepsearch_width: 4 },
  knobs: {
    beta: 'coefficient of the KL penalty; 0 = no reference',
    epsilon_high: 'upper clip; 0 = epsilon',
    deepsearch_width: 'children of a node (paper: 8)',
  },
  limits: [
    { slot: 'rollout', settings: { deepsearch_depth: 1, deepsearch_width: 4 }, inputs: 'chain problems', tolerance: 0 },
    { slot: 'aggregate', settings: {}, inputs: 'equal lengths', tolerance: 1e-15 },
  ],
  provenance: 'repo',
  assumes: [
    'steps end at the characters deepsearch_ends, and the last level writes to the end, instead of steps of 256 tokens',
    'solutions that were passed over are taken where no node is left to expand; the uncertainty of the frontier is off, as in the code',
    'solutions are kept within the run; the code keeps them from one run to the next',
  ],
  demo: { testbed: 'arithmetic-hard', baseline: 'grpo', method: 'deepsearch', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { rollout: wrap(treeSearch), advantage: stepValues, aggregate: tokenMeanAggregate },
};
