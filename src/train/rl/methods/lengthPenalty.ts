import { wrap } from '../compose.js';
import { withLengthPenalty } from '../parts/length.js';
import type { RlMethod } from './slot.js';

/**
 * Length reward of Kimi k1.5 (Kimi Team 2025, arXiv:2501.12599), the usual linear penalty of length.
 *   u_i = 1/2 - (l_i - min l) / (max l - min l) within the group;   r_i += length_coef (u_i if right, min(0, u_i) if wrong)
 * Against grpo: a term of the reward.
 */
export const lengthPenalty: RlMethod = {
  id: 'length-penalty',
  summary: 'shorter right answers of a group earn more, linearly',
  paper: 'arXiv:2501.12599',
  equation: 'r_i += length_coef (u_i if right else min(0, u_i)), u_i = 1/2 - (l_i - min l) / (max l - min l)',
  parent: 'grpo',
  defaults: { length_coef: 0.4 },
  knobs: { length_coef: 'weight of the length reward' },
  limits: [
    { slot: 'reward', settings: { length_coef: 0 }, tolerance: 0 },
    { slot: 'reward', settings: {}, inputs: 'equal lengths', tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the weight is that of the comparison in LASER (arXiv:2505.15612); the report names none, and warms it up',
    'right: a reward above 0',
  ],
  slots: { reward: wrap(withLengthPenalty) },
};
