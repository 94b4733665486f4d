import { lengthWeightedBaseline } from '../parts/advantage.js';
import { tokenMeanAggregate } from '../parts/aggregate.js';
import { noPenalty } from '../parts/penalty.js';
import { policyGradient } from '../parts/surrogate.js';
import { onePass } from '../parts/update.js';
import type { RlMethod } from './slot.js';

/**
 * OPO (Hao et al. 2025, arXiv:2505.23585): exactly on-policy updates with the baseline of least variance.
 *   b = sum_i(l_i r_i) / sum_i(l_i),   A_i = r_i - b;   L = -1/(sum_i l_i) sum_i A_i sum_t log pi(o_it)
 * Against grpo: the baseline weighs rewards by length; one step a batch; neither clip nor KL; every token alike, since the baseline supposes that
 * a sample's gradient grows with its length.
 */
export const opo: RlMethod = {
  id: 'opo',
  summary: 'one exact on-policy step a batch, with a length-weighted baseline',
  seed: 'S17',
  paper: 'arXiv:2505.23585',
  equation: 'A_i = r_i - sum_j(l_j r_j) / sum_j(l_j), L = -mean_t A log pi',
  parent: 'grpo',
  defaults: {},
  limits: [
    { slot: 'advantage', settings: {}, parent_settings: { scale_rewards: 'none' }, inputs: 'equal lengths', tolerance: 1e-12 },
    { slot: 'surrogate', settings: {}, inputs: 'on policy', compare: 'gradient', tolerance: 1e-6 },
  ],
  provenance: 'paper',
  assumes: ['the sum over tokens is divided by the number of all tokens of the batch'],
  demo: { testbed: 'countdown-s', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: {
    advantage: lengthWeightedBaseline,
    surrogate: policyGradient,
    aggregate: tokenMeanAggregate,
    penalty: noPenalty,
    update: onePass,
  },
};
