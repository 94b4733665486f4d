import type { RlMethod } from './slot.js';

/**
 * Fine-tuning on demonstrations in the same loop, on the same problems in the same order: the control of methods that mix both.
 * Against grpo-sft-mix: mu = 1, so rollouts are drawn and logged, and nothing is learned from them.
 */
export const sftOnly: RlMethod = {
  id: 'sft-only',
  summary: 'only the cross-entropy on demonstrations; rollouts train nothing',
  paper: 'arXiv:2508.11408, its limit of mu = 1',
  equation: 'L = mean_t -log pi(demonstration_t)',
  parent: 'grpo-sft-mix',
  defaults: { mu: 1 },
  limits: [
    { slot: 'aggregate', settings: { mu: 0.1 }, tolerance: 0 },
    { slot: 'auxiliary', settings: { mu: 0.1 }, tolerance: 0 },
  ],
  provenance: 'derived',
  assumes: [],
  slots: {},
};
