import { wrap } from '../compose.js';
import { byRole, divideRollout, withDivisionReward } from '../parts/divideConquer.js';
import type { RlMethod } from './slot.js';

/**
 * DAC-RL, divide-and-conquer reasoning (Liang et al. 2026, arXiv:2602.02477). One policy divides a problem x into subproblems P and solves it behind them.
 *   P_g ~ pi(. | x, divide), g = 1..divisions;   y_gj ~ pi(. | x, P_g, conquer);   R(y_gj) = 1[right]
 *   R(P_g) = 1[well formed, at least min_subproblems] (1[some y_gj is right] or 1[no y of x is right])
 *   groups: the divisions of x; the solutions behind each division
 * Against grpo: the rollout, what is compared with what, and the reward of divisions. Evaluation has to decode in this way, too.
 */
export const dacRl: RlMethod = {
  id: 'dac-rl',
  summary: 'divides a problem into subproblems and solves it behind them; both are trained',
  seed: 'S02',
  paper: 'arXiv:2602.02477',
  equation: 'R(division) = 1[well formed] 1[some solution behind it is right, or none of the problem is], R(solution) = 1[right]',
  parent: 'grpo',
  defaults: { divisions: 4, divide_share: 0.4, min_subproblems: 2 },
  knobs: {
    divisions: 'divisions of a problem; num_generations / divisions solutions stand behind each',
    divide_share: 'share of max_completion_length that is for the division',
    min_subproblems: 'subproblems that a division needs to earn anything (paper: 3)',
  },
  limits: [{ slot: 'reward', settings: {}, inputs: 'no roles', tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'num_generations counts solutions; the repository draws n divisions and n solutions behind each, n^2 in all',
    'a solution need not go through the subproblems one by one (the repository gives 0 to those that do not)',
    'right: a reward above 0',
  ],
  demo: {
    testbed: 'divide-and-conquer',
    baseline: 'grpo',
    method: 'grpo+dac-rl',
    metric: 'pass@1',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { rollout: divideRollout, grouping: byRole, reward: wrap(withDivisionReward) },
};
