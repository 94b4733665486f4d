import { wrap } from '../compose.js';
import { slowFast } from '../parts/slowFast.js';
import type { RlMethod } from './slot.js';

/**
 * Slow-fast policy optimization (Wang et al. 2025, arXiv:2510.04072).
 *   w_K = K passes from w_0 over one batch,   w = w_0 + alpha (w_K - w_0),   then one more pass from w;   alpha = 0 once the entropy leaves its window
 * Against grpo: the update.
 */
export const sfpo: RlMethod = {
  id: 'sfpo',
  summary: 'fast steps on a batch, a way back, and one slow step',
  seed: 'P317',
  paper: 'arXiv:2510.04072',
  equation: 'w = w_0 + alpha (w_K - w_0), w_next = w - eta grad L(w)',
  parent: 'grpo',
  defaults: { fast_steps: 3, reposition_alpha: 0.8 },
  knobs: { fast_steps: 'K; 0 = none', reposition_alpha: 'share of the fast way that is kept; 0 = none of it' },
  limits: [
    { slot: 'update', settings: { fast_steps: 0 }, tolerance: 0 },
    { slot: 'update', settings: { reposition_alpha: 0 }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the paper through summaries of it: K = 3 and alpha = 0.8 of its ablation; window and threshold of the entropy (10 steps, 3) are a guess',
    "the optimizer's moments go on through fast and slow steps; nothing but the slow step remains once alpha is 0",
  ],
  demo: { testbed: 'countdown-s', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { update: wrap(slowFast) },
};
