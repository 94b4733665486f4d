import { seqMeanTokenSumNorm } from '../parts/aggregate.js';
import { alphaDivergence } from '../parts/alphaDivergence.js';
import { noPenalty } from '../parts/penalty.js';
import { policyGradient } from '../parts/surrogate.js';
import type { RlMethod } from './slot.js';

/**
 * alpha-DPG (Kruszewski et al. 2025, arXiv:2512.05962): the target is the start policy with wrong answers taken out, p ~ ref 1(right); the policy approaches
 * it in an alpha-divergence, from the mass-covering KL(p | pi) at 0 towards the mode-seeking KL(pi | p) at 1.
 *   f_i = min(t_i^(alpha-1) - 1, clip), t = pi / p, -1 where wrong;   A_i = f_i - mean_{j != i} f_j;   L = -1/(N L_max) sum_i A_i log pi(y_i)
 * Against rloo: pseudo-rewards in place of rewards; next to alpha 1 they are the reward less 1. Right answers that the policy grew to prefer weigh less.
 */
export const alphaDpg: RlMethod = {
  id: 'alpha-dpg',
  summary: 'approaches the start policy without its wrong answers in an alpha-divergence',
  seed: 'P351',
  paper: 'arXiv:2512.05962',
  equation: 'A_i = f_i - mean_{j != i} f_j, f = min((pi / p)^(alpha-1) - 1, clip), p ~ ref 1(right)',
  parent: 'rloo',
  defaults: { dpg_alpha: 0.5, dpg_clip: 10, right_above: 0.5 },
  knobs: {
    dpg_alpha: '0: covers all right answers; towards 1: precise, as with the plain reward',
    dpg_clip: 'largest pseudo-reward',
    right_above: 'a reward above it is a right answer',
  },
  limits: [
    {
      slot: 'advantage',
      settings: { dpg_alpha: 1 - 1e-9 },
      parent_settings: { kl_coef: 0 },
      inputs: 'two of four right',
      tolerance: 1e-7,
    },
  ],
  provenance: 'repo',
  assumes: [
    'the partition function of a problem from the samples of this step alone',
    'alpha 0.5 (paper: several)',
    'right is a reward above 1/2 (paper: rewards of 0 and 1)',
  ],
  demo: { testbed: 'countdown-diverse', baseline: 'grpo', metric: 'distinct@16', cost: 'generated tokens', expect: 'gain' },
  slots: { advantage: alphaDivergence, surrogate: policyGradient, aggregate: seqMeanTokenSumNorm, penalty: noPenalty },
};
