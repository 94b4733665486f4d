import { wrap } from '../compose.js';
import { tokenMeanAggregate } from '../parts/aggregate.js';
import { scaledToSignal } from '../parts/groupCredit.js';
import { policyGradient } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * Group policy gradient (Chu et al. 2025, arXiv:2504.02546).
 *   A_i = N / (N - M) (r_i - mean r) / F,   L = -1/(sum_i l_i) sum_i sum_t A_i log pi;   M samples of N stand in groups of equal rewards, F = 1
 * Against grpo: the plain policy gradient, without ratio, clip and KL; no standard deviation; the batch is scaled for groups that say nothing.
 */
export const gpg: RlMethod = {
  id: 'gpg',
  summary: 'plain policy gradient with group means, scaled for groups without a signal',
  seed: 'P061',
  paper: 'arXiv:2504.02546',
  equation: 'A_i = N / (N - M) (r_i - mean r), L = -mean_t A log pi',
  parent: 'grpo',
  defaults: { scale_rewards: 'none', beta: 0 },
  knobs: { scale_rewards: 'none: F = 1; group: F is the standard deviation', beta: 'coefficient of the KL penalty; 0 = no reference' },
  limits: [
    { slot: 'advantage', settings: {}, parent_settings: { scale_rewards: 'none' }, inputs: 'rewards that differ', tolerance: 0 },
    { slot: 'surrogate', settings: {}, inputs: 'on policy', compare: 'gradient', tolerance: 1e-6 },
  ],
  provenance: 'repo',
  assumes: [
    'M counts the samples of groups whose advantages are all 0',
    'no sampling of further problems while too few groups have a signal (the threshold beta_th of the paper): add dynamic-sampling',
  ],
  demo: { testbed: 'countdown-s', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { advantage: wrap(scaledToSignal), surrogate: policyGradient, aggregate: tokenMeanAggregate },
};
