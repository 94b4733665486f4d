import { also, wrap } from '../compose.js';
import { noPenalty } from '../parts/penalty.js';
import { divergenceFromStart, withPresampling } from '../parts/rehearsal.js';
import type { RlMethod } from './slot.js';

/**
 * DPH-RL (Li et al. 2025, arXiv:2509.07430): a divergence that covers the start policy's modes, as rehearsal.
 *   L = L_GRPO without KL on problems that are not nearly perfect + divergence_coef E_{y ~ start, right}[f(pi / start)],
 *   f(u) = u - 1 - log u (forward KL) or u log u - (u + 1) log((u + 1) / 2) (JS)
 * Against grpo: no KL to a reference that is loaded; instead completions drawn once from the start policy, with their log-probabilities.
 */
export const dphRl: RlMethod = {
  id: 'dph-rl',
  summary: 'forward KL or JS divergence from the start policy on completions that it drew, in place of the KL penalty',
  seed: 'P161',
  paper: 'arXiv:2509.07430',
  equation: 'L = L_RL + divergence_coef E_start[f(pi/start)], f(u) = u - 1 - log u | u log u - (u+1) log((u+1)/2)',
  parent: 'grpo',
  defaults: { divergence: 'js', divergence_coef: 0.2, presample_problems: 64, presample_generations: 4, perfect_rate: 0.75 },
  knobs: {
    divergence: 'js, or forward (KL from the start policy to the policy)',
    divergence_coef: 'the authors use 0.05 to 0.2 with js, 0.01 to 0.05 with forward',
    presample_problems: 'problems that are looked at before the first step; 0 = all',
    presample_generations: 'completions of each',
    perfect_rate: 'solve rate from which a problem is rehearsed and not trained on',
  },
  limits: [
    { slot: 'auxiliary', settings: { divergence_coef: 0 }, tolerance: 0 },
    { slot: 'penalty', settings: {}, parent_settings: { beta: 0 }, tolerance: 0 },
  ],
  provenance: 'repo',
  assumes: [
    '4 completions of 64 problems and a rate of 0.75, where the authors draw 8 of all problems',
    'rehearsal_batch 16 completions beside every optimizer step instead of batches of their own',
  ],
  demo: { testbed: 'countdown-diverse', baseline: 'grpo', metric: 'distinct@16', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: wrap(withPresampling), auxiliary: also(divergenceFromStart), penalty: noPenalty },
};
