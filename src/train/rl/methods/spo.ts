import { prioritizedPrompts, singleRollout, trackedValue, wholeStep } from '../parts/valueTracker.js';
import type { RlMethod } from './slot.js';

/**
 * Single-stream policy optimization (Xu and Ding 2025, arXiv:2509.13232).
 *   A = (r - v - mean) / std over the batch,   v = a / (a + b),   a = rho a + r, b = rho b + 1 - r, rho = 2^(-D / kl_half_life)
 * Against grpo: one completion of each problem, a baseline that is kept over the run instead of the mean of a group, normalisation over the batch, and
 * problems of uncertain outcome more often. A step has as many completions: num_generations times as many problems.
 */
export const spo: RlMethod = {
  id: 'spo',
  summary: 'no groups: one completion a problem against a success rate that is tracked over the run',
  seed: 'P148',
  paper: 'arXiv:2509.13232',
  equation: 'A = (r - v - mean) / std over the batch, v of a Beta estimate that forgets with the drift of the policy',
  parent: 'grpo',
  defaults: { priority_epsilon: 0.05, kl_half_life: 0.06 },
  knobs: {
    priority_epsilon: 'what every problem gets beside sqrt(v (1 - v)) as its chance to be asked; large = all alike',
    kl_half_life: 'mean change of log-probabilities, in nats a token, that halves old evidence',
  },
  limits: [{ slot: 'advantage', settings: {}, inputs: 'one group', tolerance: 1e-12 }],
  provenance: 'repo',
  assumes: [
    'a = b = 1/2 at the start instead of an estimate from samples drawn beforehand',
    'rho between 0.875 and 0.96, the discount comes when a problem is asked again, and 1e-4 beside the standard deviation as in grpo',
  ],
  demo: { testbed: 'arithmetic-graded', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { prompts: prioritizedPrompts, rollout: singleRollout, grouping: wholeStep, advantage: trackedValue },
};
