import { also, wrap } from '../compose.js';
import { demonstrationLoss, restOf } from '../parts/demonstrations.js';
import type { RlMethod } from './slot.js';

/**
 * Fine-tuning on demonstrations at a fixed weight beside reinforcement learning.
 *   L = (1 - mu) L_RL + mu mean_t -log pi(demonstration_t)
 * Against grpo: an auxiliary loss on the demonstrations of the step's problems (column `demonstration`, or else `solution`); everything else times 1 - mu.
 */
export const grpoSftMix: RlMethod = {
  id: 'grpo-sft-mix',
  summary: 'a cross-entropy on demonstrations at a fixed weight',
  paper: 'arXiv:2508.11408, where it is the mix that CHORD is compared with',
  equation: 'L = (1 - mu) L_RL + mu mean_t -log pi(demonstration_t)',
  parent: 'grpo',
  defaults: { mu: 0.1 },
  knobs: { mu: 'share of the demonstrations; 1 = only they' },
  limits: [
    { slot: 'aggregate', settings: { mu: 0 }, tolerance: 0 },
    { slot: 'auxiliary', settings: { mu: 0 }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: ['every optimizer step sees the demonstrations of all problems of its rollout, and means over their tokens'],
  slots: { auxiliary: also(demonstrationLoss), aggregate: wrap(restOf) },
};
