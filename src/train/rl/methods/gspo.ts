import { sequenceClip } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * GSPO (Zheng et al. 2025, arXiv:2507.18071).
 *   s_i = exp(mean_t log rho_it);   L = -mean_i min(s_i A_i, clip(s_i) A_i)
 * Against grpo: the ratio belongs to the sequence, and so does the clip, which is much narrower.
 */
export const gspo: RlMethod = {
  id: 'gspo',
  summary: 'ratio and clip of whole sequences',
  paper: 'arXiv:2507.18071',
  equation: 'L = -mean_i min(s A, clip(s, 1 - e_low, 1 + e_high) A), s = exp(mean_t log rho_t)',
  parent: 'grpo',
  defaults: { epsilon: 3e-4, epsilon_high: 4e-4 },
  limits: [{ slot: 'surrogate', settings: { epsilon: 0.2, epsilon_high: 0 }, inputs: 'one-token answers', tolerance: 1e-6 }],
  provenance: 'paper',
  assumes: ['the KL penalty stays at tokens'],
  recipe: true,
  slots: { surrogate: sequenceClip },
};
