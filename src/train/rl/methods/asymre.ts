import { shiftedBaseline } from '../parts/offPolicy.js';
import { policyGradient } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * Asymmetric REINFORCE (Arnal et al. 2025, arXiv:2506.20520).
 *   L = -mean_t A log pi,   A_i = r_i - (mean r + delta_v), delta_v < 0
 * Against rec: a lower baseline, so that successes weigh more than failures, instead of a clip. The difference is -delta_v times the likelihood of what was
 * drawn (Yao et al. 2025, arXiv:2509.24203).
 */
export const asymre: RlMethod = {
  id: 'asymre',
  summary: 'REINFORCE off policy with a baseline below the mean',
  paper: 'arXiv:2506.20520',
  equation: 'L = -mean_t A log pi, A_i = r_i - mean r - delta_v',
  parent: 'rec',
  defaults: { delta_v: -0.1 },
  knobs: { delta_v: 'shift of the baseline; 0 = the mean of the group' },
  limits: [{ slot: 'advantage', settings: { delta_v: 0 }, tolerance: 1e-12 }],
  provenance: 'repo',
  assumes: ['delta_v -0.1, as the code of arXiv:2509.24203 has it'],
  recipe: true,
  slots: { advantage: shiftedBaseline, surrogate: policyGradient },
};
