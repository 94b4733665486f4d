import { wrap } from '../compose.js';
import { withOverlong } from '../parts/reward.js';
import type { RlMethod } from './slot.js';

/**
 * Soft overlong punishment (Yu et al. 2025, arXiv:2503.14476): the reward falls linearly to -1 over the last fifth of the permitted length.
 * Against grpo: a term of the reward.
 */
export const overlongShaping: RlMethod = {
  id: 'overlong-shaping',
  summary: 'a soft penalty of answers near the permitted length',
  paper: 'arXiv:2503.14476',
  equation: 'r += 0 up to L - cache, (L - cache - l) / cache after',
  parent: 'grpo',
  defaults: { overlong_penalty: 1 },
  knobs: { overlong_penalty: 'size of the largest penalty' },
  limits: [{ slot: 'reward', settings: { overlong_penalty: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the penalty begins at 80% of max_completion_length (paper: 16384 of 20480 tokens)'],
  slots: { reward: wrap(withOverlong) },
};
