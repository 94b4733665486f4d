import { wrap } from '../compose.js';
import { withHiddenReward } from '../parts/hiddenReward.js';
import type { RlMethod } from './slot.js';

/**
 * Token Hidden Reward (Deng et al. 2026, arXiv:2510.03669).
 *   THR_k = sign(A) sum_j <g_k, g_j> <h_k, h_j> over the tokens j of right answers,   g = onehot - pi, h the last hidden state
 *   A_k = A (1 + p sign(THR_k)) 1(|THR_k| >= tau)
 * Against grpo: a wrapper of the advantage. p > 0 strengthens tokens that raise the likelihood of right answers (exploitation), p < 0 the others (exploration).
 */
export const thr: RlMethod = {
  id: 'thr',
  summary: 'tokens weigh by their first-order influence on the likelihood of right answers',
  seed: 'P340',
  paper: 'arXiv:2510.03669',
  equation: 'A_k = A (1 + p sign(THR_k)) 1(|THR_k| >= tau), THR_k = sign(A) sum_j <g_k, g_j> <h_k, h_j>',
  parent: 'grpo',
  defaults: { thr_p: 0.2, thr_beta: 1, right_above: 0.5 },
  knobs: {
    thr_p: 'positive: exploitation; negative: exploration',
    thr_beta: 'tau in smallest means of the influence of a right answer upon right answers; 0 keeps every token',
    right_above: 'a reward above it is a right answer',
  },
  limits: [{ slot: 'advantage', settings: { thr_p: 0, thr_beta: 0 }, tolerance: 0 }],
  provenance: 'derived',
  assumes: [
    'the influence and tau of the same authors (arXiv:2505.18830); the rule of reweighting from summaries of the paper',
    'p 0.2',
    'right is a reward above 1/2 (paper: rewards of 0 and 1)',
  ],
  demo: { testbed: 'countdown-s', baseline: 'grpo', method: 'grpo+thr', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { advantage: wrap(withHiddenReward) },
};
