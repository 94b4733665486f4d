import { tokenMeanAggregate } from '../parts/aggregate.js';
import { clippedWeight } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * CISPO (MiniMax 2025, arXiv:2506.13585).
 *   L = -1/(sum_i l_i) sum sg(min(rho, 1 + epsilon_high)) A log pi
 * Against grpo: the clip bounds the weight of a token and never takes its gradient away; every token alike; no KL.
 */
export const cispo: RlMethod = {
  id: 'cispo',
  summary: 'clipped importance weights, with gradients of all tokens',
  paper: 'arXiv:2506.13585',
  equation: 'L = -mean_t sg(min(rho, 1 + e_high)) A log pi',
  parent: 'grpo',
  defaults: { epsilon_high: 5, beta: 0 },
  knobs: {
    epsilon_high: 'bound of the weight above 1 (the paper tunes it and gives no value; TRL suggests 5)',
    beta: 'coefficient of the KL penalty; 0 = no reference',
  },
  limits: [{ slot: 'surrogate', settings: {}, inputs: 'on policy', compare: 'gradient', tolerance: 1e-6 }],
  provenance: 'paper',
  assumes: ['no lower bound'],
  recipe: true,
  slots: { surrogate: clippedWeight, aggregate: tokenMeanAggregate },
};
