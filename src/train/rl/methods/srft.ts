import { also, wrap } from '../compose.js';
import { entropyScaledSuccesses, entropyWeightedImitation, withDemonstrations } from '../parts/entropyImitation.js';
import type { RlMethod } from './slot.js';

/**
 * SRFT (Fu et al. 2025, arXiv:2506.19767): fine-tuning and reinforcement learning in one stage, weighed by entropy.
 *   L = w_sft mean_t -log pi(demonstration_t) + L_RL(demonstrations in their groups, pi / 1 as ratio) + L_RL(own completions),
 *   w_sft = 0.5 exp(-H),   positive advantages of own completions times w_rl = 0.1 exp(H),   both without gradient
 * Against grpo: demonstrations (column `demonstration`, or else `solution`) as an auxiliary loss and as members of the groups; successes weigh less.
 */
export const srft: RlMethod = {
  id: 'srft',
  summary: 'demonstrations imitated and compared with the rollouts, weights from the entropy',
  seed: 'P144',
  paper: 'arXiv:2506.19767',
  equation: 'L = 0.5 e^-H L_SFT + L_RL(demonstrations, pi) + L_RL(rollouts, 0.1 e^H at A > 0)',
  parent: 'grpo',
  defaults: { sft_weight: 0.5, rl_weight: 0.1, entropy_scale: 1 },
  knobs: {
    sft_weight: 'weight of imitation at entropy 0',
    rl_weight: 'factor of positive advantages at entropy 0',
    entropy_scale: 'factor of the entropy in both exponents; the paper has 1',
  },
  limits: [
    { slot: 'advantage', settings: { rl_weight: 1, entropy_scale: 0 }, tolerance: 0 },
    { slot: 'auxiliary', settings: { sft_weight: 0 }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the entropy is that of each token, not a mean of the policy',
    'own completions have group-normalised advantages and the ratio of grpo where the paper writes +-log pi',
    'the weight of imitation falls with entropy, as the paper says; its code is said to have the other sign',
  ],
  demo: { testbed: 'arithmetic-demos', baseline: 'grpo-sft-mix', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: {
    buffer: wrap(withDemonstrations),
    advantage: wrap(entropyScaledSuccesses),
    auxiliary: also(entropyWeightedImitation),
  },
};
