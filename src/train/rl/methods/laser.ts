import { wrap } from '../compose.js';
import { withLengthStep } from '../parts/length.js';
import type { RlMethod } from './slot.js';

/**
 * LASER, length-based step reward (Liu et al. 2025, arXiv:2505.15612).
 *   r_i += laser_alpha 1[right and l_i <= laser_target L],   L = max_completion_length
 * Against grpo: a term of the reward. Unlike a penalty that is linear in the length, it says nothing between two answers on one side of the target.
 */
export const laser: RlMethod = {
  id: 'laser',
  summary: 'a bonus for right answers up to a target length',
  seed: 'P248',
  paper: 'arXiv:2505.15612',
  equation: 'r += alpha 1[right and l <= target]',
  parent: 'grpo',
  defaults: { laser_alpha: 0.5, laser_target: 0.5 },
  knobs: { laser_alpha: 'size of the bonus', laser_target: 'target length as a share of max_completion_length' },
  limits: [{ slot: 'reward', settings: { laser_alpha: 0 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: ['of the targets that the paper tries (1/8, 1/4, 1/2 of the permitted length) the largest', 'right: a reward above 0'],
  demo: {
    testbed: 'arithmetic-verbose',
    baseline: 'grpo',
    method: 'grpo+laser',
    metric: 'concise',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { reward: wrap(withLengthStep) },
};
