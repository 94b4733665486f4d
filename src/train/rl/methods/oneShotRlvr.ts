import { wrap } from '../compose.js';
import { fewShots } from '../parts/oneShot.js';
import type { RlMethod } from './slot.js';

/**
 * 1-shot RLVR (Wang et al. 2025, arXiv:2504.20571): a single problem, repeated until the batch is full.
 *   D = {x*},   L = L_GRPO - entropy_coef H(pi)
 * Against entropy-bonus: all requests of every step are the same problem (or the same `shots` problems), the one whose reward varies most.
 */
export const oneShotRlvr: RlMethod = {
  id: 'one-shot-rlvr',
  summary: 'one training problem, repeated, with an entropy bonus',
  seed: 'S28',
  paper: 'arXiv:2504.20571',
  equation: 'D = {x*}, x* = argmax Var r(x), L = L_RL - entropy_coef H(pi)',
  parent: 'entropy-bonus',
  defaults: { shots: 1, shot_rule: 'variance', probe_problems: 16 },
  knobs: {
    shots: 'problems that are trained on',
    shot_rule: 'variance of the reward before training, or first (the first rows of the data)',
    probe_problems: 'problems among which the variance chooses',
  },
  limits: [{ slot: 'prompts', settings: { shot_rule: 'first', shots: 1e9 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'the variance is that of the start policy on 16 problems; the paper ranks by the variance of the accuracy over a training on all problems',
  ],
  demo: { testbed: 'arithmetic-graded', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'equivalent' },
  slots: { prompts: wrap(fewShots) },
};
