import { seqMeanTokenMean } from '../parts/aggregate.js';
import { decoupledAdvantage, discriminative } from '../parts/decoupled.js';
import { noPenalty } from '../parts/penalty.js';
import type { RlMethod } from './slot.js';

/**
 * Decoupled reward policy optimization (Li et al. 2025, arXiv:2510.04474): short answers are preferred among right ones alone, so no right answer is pushed down.
 *   J = mean_q [sum_right w_i s_i / sum_right w_i - tau log mean_wrong exp(s_j / tau)] - beta max(KL - delta, 0) KL,   w = exp((1 - l / L) / lambda),
 *   s the mean log-probability of an answer's tokens
 * Against grpo: right and wrong answers are normalised apart; a hinge on the KL to the policy that sampled takes the place of clip and penalty.
 */
export const drpo: RlMethod = {
  id: 'drpo',
  summary: 'right answers weigh by shortness among themselves, against the wrong ones',
  seed: 'P211',
  paper: 'arXiv:2510.04474',
  equation:
    'J = mean_q [sum_right w s / sum_right w - tau log mean_wrong exp(s / tau)] - beta max(KL - delta, 0) KL, w = exp((1 - l / L) / lambda)',
  parent: 'grpo',
  defaults: { drpo_lambda: 0.1, drpo_tau: 10, drpo_kl_coef: 1e3, drpo_delta: 1e-4, right_above: 0.5 },
  knobs: {
    drpo_lambda: 'smaller: shorter answers weigh more; large: lengths do not matter',
    drpo_tau: 'smaller: the likeliest wrong answers weigh more',
    drpo_kl_coef: 'strength of the way back where the KL to the sampling policy exceeds drpo_delta',
    right_above: 'a reward above it is a right answer',
  },
  limits: [
    {
      slot: 'advantage',
      settings: { drpo_lambda: 1e9 },
      parent_settings: { scale_rewards: 'none' },
      inputs: 'two of four right',
      tolerance: 1e-8,
    },
  ],
  provenance: 'repo',
  assumes: [
    'the slopes of the objective are found on the host, for the whole minibatch; right is a reward above 1/2 (paper: rewards of 0 and 1)',
  ],
  demo: { testbed: 'arithmetic-verbose', baseline: 'grpo', metric: 'concise', cost: 'generated tokens', expect: 'gain' },
  slots: { advantage: decoupledAdvantage, surrogate: discriminative, aggregate: seqMeanTokenMean, penalty: noPenalty },
};
