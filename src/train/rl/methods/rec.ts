import { tokenMeanAggregate } from '../parts/aggregate.js';
import { clippedReinforce } from '../parts/offPolicy.js';
import type { RlMethod } from './slot.js';

/**
 * Group-relative REINFORCE off policy (Yao et al. 2025, arXiv:2509.24203): REC, and with red_temperature RED-Weight.
 *   L = -mean_t w M A log pi,   A_i = r_i - mean r,   M = 1 where rho has not gone beyond its bounds in the direction of A
 * Against grpo: no importance weight (w = 1), a wide clip that only regularizes, no standard deviation, no KL, every token alike. With importance_weight
 * and the same bounds it is grpo's gradient.
 */
export const rec: RlMethod = {
  id: 'rec',
  summary: 'group-relative REINFORCE on stale samples: no importance weights, a wide clip as regularizer',
  seed: 'P064',
  paper: 'arXiv:2509.24203',
  equation: 'L = -mean_t A log pi [A > 0, rho <= 1 + e_high or A < 0, rho >= 1 - e], A_i = r_i - mean r',
  parent: 'grpo',
  defaults: { scale_rewards: 'none', beta: 0, epsilon: 0.6, epsilon_high: 2 },
  knobs: {
    scale_rewards: 'group, batch or none: which standard deviation divides',
    beta: 'coefficient of the KL penalty; 0 = no reference',
    epsilon: 'bound below 1',
    epsilon_high: 'bound above 1',
  },
  limits: [
    {
      slot: 'surrogate',
      settings: { importance_weight: true, epsilon: 0.2, epsilon_high: 0.2 },
      compare: 'gradient',
      tolerance: 1e-6,
    },
    { slot: 'advantage', settings: { scale_rewards: 'group' }, tolerance: 0 },
  ],
  provenance: 'repo',
  assumes: [
    'REC-OneSide-NoIS with the bounds 0.6 and 2 that the study found best; its other forms are settings (clip_mode, importance_weight)',
  ],
  demo: { testbed: 'countdown-stale', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { surrogate: clippedReinforce, aggregate: tokenMeanAggregate },
};
