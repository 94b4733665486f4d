import { wrap } from '../compose.js';
import type { Reward } from '../contract.js';
import { withDifficultySteps } from '../parts/difficultySteps.js';
import type { RlMethod } from './slot.js';

/**
 * LASER-D, dynamic and difficulty-aware (Liu et al. 2025, arXiv:2505.15612).
 *   r_i += laser_alpha 1[right and l_i <= T_d];   d: hard, medium or easy by the share of right answers in the group (bounds 1/3 and 2/3)
 *   T_d = the shortest length with P(l <= T | d) C_d >= 1, C_d = 1, floor(G / 3), floor(2 G / 3), set anew every laser_every steps
 * Against grpo: a term of the reward. Against laser: a target for each difficulty, which follows the policy.
 */
export const laserD: RlMethod = {
  id: 'laser-d',
  summary: 'a bonus for right answers up to a target length that adapts to the difficulty and the policy',
  seed: 'P248',
  paper: 'arXiv:2505.15612',
  equation: 'r += alpha 1[right and l <= T_d], T_d = min{T: P(l <= T | d) C_d >= 1}',
  parent: 'grpo',
  defaults: { laser_alpha: 0.5, laser_lower: 0.125, laser_interval: 0.0625, laser_every: 10 },
  knobs: {
    laser_alpha: 'size of the bonus',
    laser_lower: 'shortest target as a share of max_completion_length',
    laser_interval: 'distance of possible targets as a share of max_completion_length',
    laser_every: 'steps between two settings of the targets (paper: 20)',
  },
  limits: [{ slot: 'reward', settings: { laser_alpha: 0 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'lengths are watched on the rollouts of training instead of 500 problems that are set aside and sampled for it',
    'where no target is long enough, it is the permitted length (repository: the longest answer of the batch)',
    'right: a reward above 0',
  ],
  demo: {
    testbed: 'arithmetic-verbose',
    baseline: 'grpo+laser',
    method: 'grpo+laser-d',
    metric: 'concise',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { reward: wrap<Reward>(withDifficultySteps) },
};
