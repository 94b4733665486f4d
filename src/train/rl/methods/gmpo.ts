import { geometricMean } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * GMPO (Zhao et al. 2025, arXiv:2507.20673).
 *   L = -mean_i A_i exp(mean_t m_t),   m_t = log rho_t, no further than epsilon in the direction of A's sign
 * Against grpo: the geometric mean of the ratios of a sequence instead of the arithmetic one, and a wide clip in log space.
 */
export const gmpo: RlMethod = {
  id: 'gmpo',
  summary: 'geometric mean of the clipped ratios of a sequence',
  paper: 'arXiv:2507.20673',
  equation: 'L = -mean_i A (prod_t clip(rho_t, e^-e, e^e))^(1/l)',
  parent: 'grpo',
  defaults: { epsilon: 0.4 },
  limits: [
    {
      slot: 'surrogate',
      settings: { epsilon: 0.4 },
      parent_settings: { epsilon: 0.3 },
      inputs: 'one-token answers near 1',
      tolerance: 1e-6,
    },
  ],
  provenance: 'paper',
  assumes: [],
  recipe: true,
  slots: { surrogate: geometricMean },
};
