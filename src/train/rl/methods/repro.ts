import { wrap } from '../compose.js';
import { withProcessReward, withTokenReturns } from '../parts/processReward.js';
import type { RlMethod } from './slot.js';

/**
 * RePro, rectifying process-level reward (Liu et al. 2025, arXiv:2512.01925): reasoning is an optimisation of J, the mean log-probability of the right answer.
 *   S_t = (1 - w) (1 - tanh(J_t / J_0)) + w (1 + tau(J_1..J_t)) / 2,   r_t = S_t - S_{t-1},   A = A_outcome + coef sum_{steps from here on} normalised r
 * Against grpo: steps that make the answer more likely, and steadily so, earn credit beside the outcome.
 */
export const repro: RlMethod = {
  id: 'repro',
  summary: 'credit for steps that make the right answer steadily more likely',
  seed: 'P297',
  paper: 'arXiv:2512.01925',
  equation: 'A_t = A + coef sum_{j >= t} norm(S_j - S_{j-1}), S = (1-w)(1 - tanh(J/J_0)) + w (1 + tau)/2',
  parent: 'grpo',
  defaults: {
    process_coef: 0.1,
    process_stability: 0.2,
    process_segments: 0,
    step_separator: ';',
    answer_marker: '#',
    answer_column: 'answer',
  },
  knobs: {
    process_coef: 'weight of the process credit',
    process_stability: 'w: weight of the stability score',
    process_segments: 'steps that are scored, those with the highest entropy at their first token; 0 = all',
    step_separator: 'ends a step',
    answer_marker: 'ends the reasoning',
    answer_column: 'column with the reference answers',
  },
  limits: [{ slot: 'advantage', settings: {}, inputs: 'no process rewards', tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'the equations as summaries of the paper quote them; of the signs in the tanh the one that rises and stays within (0, 1]',
    'credit flows from a step to all tokens before it, as in process supervision of GRPO',
    'coefficient 0.1, w 0.2; a sequence of one step has tau 0; J_0 stands before the first step with tau 0',
  ],
  demo: { testbed: 'arithmetic-verbose', baseline: 'grpo', metric: 'concise', cost: 'generated tokens', expect: 'gain' },
  slots: { reward: wrap(withProcessReward), advantage: wrap(withTokenReturns) },
};
