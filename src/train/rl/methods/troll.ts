import { trustRegionProjection } from '../parts/trustRegion.js';
import type { RlMethod } from './slot.js';

/**
 * TROLL (Becker et al. 2025, arXiv:2510.03817, equations 3 to 5): a trust region instead of the clip.
 *   p = argmin KL(p | pi)  with  KL(p | pi_old) <= bound  at every token, which is p ~ pi_old^(eta / (1 + eta)) pi^(1 / (1 + eta))
 *   L = -p(o_t) / pi_old(o_t) A + alpha KL(pi | sg p)
 * Against grpo: the surrogate. No gradient is cut off; a token outside of the region is drawn back to its edge.
 */
export const troll: RlMethod = {
  id: 'troll',
  summary: 'token distributions projected onto a KL ball around the old policy, in place of the clip',
  seed: 'P155',
  paper: 'arXiv:2510.03817',
  equation: 'L = -p(o_t) / pi_old(o_t) A + alpha KL(pi | sg p), p = projection of pi onto KL(p | pi_old) <= bound',
  parent: 'grpo',
  defaults: { troll_bound: 0.05, troll_alpha: 1, troll_top_k: 64 },
  knobs: {
    troll_bound: 'largest KL from the old policy at a token, in nats',
    troll_alpha: 'weight of the way back to the projection',
    troll_top_k: 'tokens of the old policy that are told apart; at the size of the vocabulary the projection is exact',
  },
  limits: [{ slot: 'surrogate', settings: { troll_bound: 100 }, inputs: 'ratios near 1', tolerance: 1e-5 }],
  provenance: 'paper',
  assumes: [
    'tokens beyond the top k are one entry (paper: each gets a small default probability), and k does not shrink where less holds the mass 1 - 1e-5',
    'eta by bisection and Newton steps, its gradient by the implicit function (paper: a bracketing search and OptNet)',
    'num_iterations as grpo has it; at 1, one step a rollout, nothing is ever outside of the region (paper: several minibatches)',
  ],
  demo: { testbed: 'countdown-epochs', baseline: 'grpo', method: 'grpo+troll', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { surrogate: trustRegionProjection },
};
