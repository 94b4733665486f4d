import { tokenMeanAggregate } from '../parts/aggregate.js';
import { noPenalty } from '../parts/penalty.js';
import { randomPolicyValue } from '../parts/randomPolicyValue.js';
import type { RlMethod } from './slot.js';

/**
 * ROVER (He et al. 2025, arXiv:2509.24981): the uniformly random policy is valued, never improved; sampling from the softmax of its values solves the task.
 *   Q(s, a) = rho (log pi - log pi_old),   A_i = r_i - mean r,   L = mean_t (Q(s_t, a_t) - sg(A + 1/V sum_a' Q(s_{t+1}, a')))^2
 * Against grpo: a squared Bellman error of the random policy instead of the ratio; rewards are centred and not scaled; no clip, no KL, every token alike.
 */
export const rover: RlMethod = {
  id: 'rover',
  summary: 'the policy learns values of the uniformly random policy and samples from their softmax',
  seed: 'P294',
  paper: 'arXiv:2509.24981',
  equation: 'L = mean_t (Q_t - sg(A + mean_a Q(s_{t+1}, a)))^2, Q = rho (log pi - log pi_old), A_i = r_i - mean r',
  parent: 'grpo',
  defaults: { rover_rho: 1, scale_rewards: 'none', num_iterations: 4 },
  knobs: {
    rover_rho: 'temperature of the softmax over values; 1/2 has the policy gradient of the reward in the first step of a rollout',
    scale_rewards: 'none: centred rewards',
    num_iterations: 'epochs over the samples of a step; the values of what follows differ from 0 from the second on',
  },
  limits: [
    { slot: 'advantage', settings: { scale_rewards: 'group' }, tolerance: 0 },
    { slot: 'surrogate', settings: { rover_rho: 0.5 }, inputs: 'on policy', compare: 'gradient', tolerance: 1e-6 },
  ],
  provenance: 'repo',
  assumes: [
    'the centred reward stands at every token, and values are relative to the policy at the start of the step, as the code of the paper has it',
    'four epochs a step in place of four minibatches',
  ],
  demo: { testbed: 'countdown-epochs', baseline: 'grpo', metric: 'distinct@16', cost: 'generated tokens', expect: 'gain' },
  slots: { surrogate: randomPolicyValue, aggregate: tokenMeanAggregate, penalty: noPenalty },
};
