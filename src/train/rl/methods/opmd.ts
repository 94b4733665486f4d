import { wrap } from '../compose.js';
import { behaviourPenalty } from '../parts/offPolicy.js';
import { both } from '../parts/penalty.js';
import { policyGradient } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * Online policy mirror descent (Kimi Team 2025, arXiv:2501.12599) as regularized REINFORCE (Yao et al. 2025, arXiv:2509.24203).
 *   L = mean_t [-A log pi + opmd_tau (log pi - log pi_old)^2]
 * Against rec: a penalty on the distance from the policy that drew the tokens instead of a clip.
 */
export const opmd: RlMethod = {
  id: 'opmd',
  summary: 'REINFORCE with a quadratic penalty on the log-ratio',
  paper: 'arXiv:2501.12599',
  equation: 'L = mean_t [-A log pi + tau (log rho)^2]',
  parent: 'rec',
  defaults: { opmd_tau: 0.1 },
  knobs: { opmd_tau: 'weight of the penalty; 0 = none' },
  limits: [{ slot: 'penalty', settings: { opmd_tau: 0 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'the square at every token, and tau without the factor 1/2, as the code of the study has it (the equation squares the sum over a sequence)',
  ],
  recipe: true,
  slots: { surrogate: policyGradient, penalty: wrap((inner) => both(inner, behaviourPenalty)) },
};
