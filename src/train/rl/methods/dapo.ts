import { wrap } from '../compose.js';
import { tokenMeanAggregate } from '../parts/aggregate.js';
import { dynamicSamplingFilter, withOverlong } from '../parts/reward.js';
import type { RlMethod } from './slot.js';

/**
 * DAPO (Yu et al. 2025, arXiv:2503.14476): four changes of grpo, each also a method of its own.
 *   clip-higher: rho in [1 - 0.2, 1 + 0.28];   token-mean: every token alike;   dynamic-sampling: only groups whose rewards differ;
 *   overlong-shaping: -1 for the longest answers, less for those near.   And no KL.
 */
export const dapo: RlMethod = {
  id: 'dapo',
  summary: 'higher upper clip, token mean, dynamic sampling, soft length penalty',
  paper: 'arXiv:2503.14476',
  equation: 'L = -1/(sum_i l_i) sum_i sum_t min(rho A, clip(rho, 1 - e_low, 1 + e_high) A), 0 < correct < G',
  parent: 'grpo',
  defaults: { epsilon_high: 0.28, beta: 0 },
  knobs: { epsilon_high: 'upper clip; 0 = epsilon', beta: 'coefficient of the KL penalty; 0 = no reference' },
  limits: [{ slot: 'surrogate', settings: { epsilon_high: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the soft penalty begins at 80% of max_completion_length (paper: 16384 of 20480 tokens)'],
  recipe: true,
  slots: { aggregate: tokenMeanAggregate, filter: dynamicSamplingFilter, reward: wrap(withOverlong) },
};
