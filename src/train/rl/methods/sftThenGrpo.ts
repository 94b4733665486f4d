import { also } from '../compose.js';
import { twoStages } from '../parts/demonstrations.js';
import type { RlMethod } from './slot.js';

/**
 * Fine-tuning on demonstrations, then reinforcement learning, in one run.
 *   mu = 1 in the first sft_share of the steps, 0 in the rest
 * Against grpo-sft-mix: one after the other instead of both at once. Rollouts of the first stage are drawn and not used.
 */
export const sftThenGrpo: RlMethod = {
  id: 'sft-then-grpo',
  summary: 'fine-tuning on demonstrations in the first steps, reinforcement learning in the others',
  paper: 'arXiv:2508.11408, its limit of a step-shaped mu',
  equation: 'L = (1 - mu) L_RL + mu L_SFT, mu = 1(step < sft_share max_steps)',
  parent: 'grpo-sft-mix',
  defaults: { sft_share: 0.25 },
  knobs: { sft_share: 'share of the steps that fine-tune' },
  limits: [{ slot: 'phases', settings: { sft_share: 0 }, parent_settings: { mu: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the moments of the optimizer are kept when the stage changes'],
  slots: { phases: also(twoStages) },
};
