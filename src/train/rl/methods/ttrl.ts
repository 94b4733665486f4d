import { majorityReward } from '../parts/majority.js';
import type { RlMethod } from './slot.js';

/**
 * TTRL, test-time reinforcement learning (Zuo et al. 2025, arXiv:2504.16084): the majority of a group's answers stands in for the missing label.
 *   r_i = 1[a_i = argmax_a sum_j 1[a_j = a]]
 * Against grpo: the reward; the user's reward functions are not asked.
 */
export const ttrl: RlMethod = {
  id: 'ttrl',
  summary: 'the majority answer of the group is the label',
  paper: 'arXiv:2504.16084',
  equation: 'r_i = 1[a_i is the most frequent answer of the group]',
  parent: 'grpo',
  defaults: { answer_pattern: '' },
  knobs: { answer_pattern: 'regular expression of the answer, its first group; empty = what follows the last #' },
  limits: [{ slot: 'reward', settings: {}, inputs: 'majority that is right', tolerance: 0 }],
  provenance: 'paper',
  assumes: ['all completions of a group vote and train (paper: 64 vote, 32 of them train)', 'completions without an answer do not vote'],
  slots: { reward: majorityReward },
};
