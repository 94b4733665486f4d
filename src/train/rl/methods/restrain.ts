import { wrap } from '../compose.js';
import { penalisedVotes, withReferenceVotes } from '../parts/selfPenalty.js';
import type { RlMethod } from './slot.js';

/**
 * RESTRAIN (Yu et al. 2025, arXiv:2510.02172): every answer of the group is a label with a weight, and what the model is unsure of is penalised.
 *   L = u_x sum_j w_j L_GRPO(x, a_j),   w_j = g(c_j / n) / sum_l g(c_l / n),   g Gaussian,   u_x = g(share of the frozen policy's majority)
 *   where the largest c_j lies below a threshold all rewards are 0 and A_ij := A_ij - delta
 * Against ttrl: soft labels instead of the majority, a penalty of scattered groups, a weight of each problem from the start policy. The sum over labels is
 * taken over advantages: on policy that is the sum over losses.
 */
export const restrain: RlMethod = {
  id: 'restrain',
  summary: 'all answers of the group are weighted labels; scattered groups are penalised',
  seed: 'P291',
  paper: 'arXiv:2510.02172',
  equation: 'A_i = u_x sum_j w_j A_ij, w_j ~ g(c_j/n); A_i = -delta u_x where max_j c_j/n < min_majority',
  parent: 'ttrl',
  defaults: { label_center: 1, label_sigma: 0.5, min_majority: 0.25, penalty_offset: 1, prompt_weighting: true },
  knobs: {
    label_center: 'share of votes at which g is largest',
    label_sigma: 'width of g; small = only the majority counts',
    min_majority: 'share of votes below which the whole group is penalised',
    penalty_offset: 'delta: the advantage of a penalised group is minus this',
    prompt_weighting: 'weigh problems by the agreement of the reference, which draws num_generations completions once for each problem',
  },
  limits: [
    {
      slot: 'advantage',
      settings: { label_sigma: 1e-3, min_majority: 0, prompt_weighting: false },
      inputs: 'majority that is right',
      tolerance: 1e-12,
    },
  ],
  provenance: 'paper',
  assumes: [
    'the equations as summaries of the paper quote them',
    'center 1, sigma 0.5, delta 1: the values of the paper could not be read',
    'the threshold is a share of the group instead of a count',
    'the reference draws when a problem first comes, not all problems before training',
  ],
  demo: { testbed: 'arithmetic-unlabelled', baseline: 'ttrl', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { reward: wrap(withReferenceVotes), advantage: penalisedVotes },
};
