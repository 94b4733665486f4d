import { wrap } from '../compose.js';
import { experienceBuffer, markReplayed, shapedReplay, sparingRollout, withExperience } from '../parts/experience.js';
import type { RlMethod } from './slot.js';

/**
 * ExGRPO (Zhan et al. 2025, arXiv:2510.02245): replay of the policy's own successes, chosen by difficulty and entropy.
 *   Half of a step's problems are asked again, drawn by N(right answers of n; n/2, 1); each joins n - 1 new completions with its stored success of lowest entropy;
 *   L = -f(rho) A there, f(rho) = rho / (rho + 0.1), rho against the policy that drew it;   L_GRPO elsewhere
 * Against grpo: a store of right completions, mixed groups, a shaped ratio instead of the clip for stored completions.
 */
export const exgrpo: RlMethod = {
  id: 'exgrpo',
  summary: 'replays own successes of medium difficulty and low entropy in mixed groups',
  seed: 'P220',
  paper: 'arXiv:2510.02245',
  equation: 'L = (1-s) L_GRPO + s L_mixed, stored o*: -f(rho) A, f(x) = x/(x+0.1), o* = argmin H(o), q ~ N(k; n/2, 1)',
  parent: 'grpo',
  defaults: { replay_share: 0.5, replay_start: 0.35, replay_kept: 8, replay_beta: 0.1 },
  knobs: {
    replay_share: 'share of the problems of a step that come from the store',
    replay_start: 'replay begins after a step in which more than this share of the samples is right',
    replay_kept: 'right completions kept for each problem',
    replay_beta: 'ratio at which a replayed token counts half',
  },
  limits: [{ slot: 'surrogate', settings: {}, inputs: 'fresh samples', tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'advantage, aggregate and KL of grpo, where the authors leave out the deviation, the lengths, the clip and the KL, and add an entropy bonus of 0.001',
    'the newest 8 successes of a problem are kept; the authors bound nothing',
  ],
  demo: { testbed: 'arithmetic-graded', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: {
    prompts: wrap(withExperience),
    rollout: wrap(sparingRollout),
    buffer: wrap(experienceBuffer),
    advantage: wrap(markReplayed),
    surrogate: wrap(shapedReplay),
  },
};
