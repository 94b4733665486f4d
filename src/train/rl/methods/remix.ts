import { also, wrap } from '../compose.js';
import { klConvex, mixedBuffer, mixedClip, reincarnation } from '../parts/mixPolicy.js';
import type { RlMethod } from './slot.js';

/**
 * ReMix (Liang et al. 2025, arXiv:2507.06892): off-policy first, on-policy after.
 *   rho = pi / pi_j of the step j that drew the token, within pi_k / pi_j -+ epsilon;   40% of the batch from the last two steps, two epochs;
 *   KL: beta [lambda KL(pi | base) + (1 - lambda) KL(pi | pi_k)];   at a share of the run the base becomes the policy, and only fresh samples train, once
 * Against grpo: samples of past policies and more updates a sample in the first stage, a shifted clip, a second anchor of the KL, a new reference half-way.
 */
export const remix: RlMethod = {
  id: 'remix',
  summary: 'past samples and several epochs at first, then a new reference and on-policy training',
  seed: 'P151',
  paper: 'arXiv:2507.06892',
  equation: 'L = -min(rho A, clip(rho, pi_k/pi_j -+ eps) A) + beta [lambda KL(pi|base) + (1-lambda) KL(pi|pi_k)]',
  parent: 'grpo',
  defaults: { offpolicy_share: 0.4, history_steps: 2, utd: 2, reincarnate_at: 0.25, kl_lambda_min: 0.5 },
  knobs: {
    offpolicy_share: 'share of the batch that comes from past steps',
    history_steps: 'how many steps back',
    utd: 'epochs over the samples of a step, in the first stage',
    reincarnate_at: 'share of the run at which the second stage begins; the paper has 50 or 100 of 75 to 500 steps',
    kl_lambda_min: 'weight of the base in the KL at the end',
  },
  limits: [
    { slot: 'surrogate', settings: {}, inputs: 'fresh samples', tolerance: 1e-12 },
    { slot: 'penalty', settings: { kl_lambda: 1 }, tolerance: 1e-12 },
  ],
  provenance: 'paper',
  assumes: [
    'the policy before a step is pi_k, its start, where the paper writes pi_{k-1}',
    'past groups come beside the fresh ones, so a step draws as many completions as without them',
    'past advantages come from past rewards, normalised in their own group',
    'one epoch in the second stage; the optimizer keeps its moments',
  ],
  demo: { testbed: 'arithmetic-graded', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { buffer: wrap(mixedBuffer), surrogate: mixedClip, penalty: klConvex, phases: also(reincarnation) },
};
