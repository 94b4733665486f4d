import { also } from '../compose.js';
import { muSchedule } from '../parts/demonstrations.js';
import type { RlMethod } from './slot.js';

/**
 * CHORD (Zhang et al. 2025, arXiv:2508.11408): fine-tuning as an auxiliary loss of on-policy reinforcement learning, under two controls.
 *   L = (1 - mu) L_GRPO + mu mean_t p_t (1 - p_t) (-log pi(y*_t)),   p_t = pi(y*_t) without gradient,   mu(t): up to mu_peak, down to mu_valley
 * Against grpo-sft-mix: mu follows a schedule, from imitation to exploration; tokens of the demonstration are weighted by p(1-p).
 * mu_warmup 0, mu_peak 0.9, mu_valley 0.05, sft_token_weight none is the paper's CHORD-mu; mu_peak = mu_valley = 0.1 is CHORD-phi.
 */
export const chord: RlMethod = {
  id: 'chord',
  summary: 'demonstrations at a weight that falls over the run, their tokens weighted by p(1-p)',
  seed: 'P097',
  paper: 'arXiv:2508.11408',
  equation: 'L = (1 - mu) L_RL + mu mean_t p(1-p) (-log p), mu: cosine from mu_peak to mu_valley',
  parent: 'grpo-sft-mix',
  defaults: { mu_peak: 0.5, mu_valley: 0.02, mu_warmup: 0.1, mu_decay: 0.4, sft_token_weight: 'p(1-p)' },
  knobs: {
    mu_warmup: 'share of the run in which mu rises linearly from 0',
    mu_decay: 'share of the run in which mu then falls',
    sft_token_weight: 'p(1-p), or none',
  },
  limits: [
    { slot: 'phases', settings: { mu_peak: 0.1, mu_valley: 0.1, mu_warmup: 0 }, tolerance: 1e-15 },
    { slot: 'auxiliary', settings: { sft_token_weight: 'none' }, tolerance: 0 },
  ],
  provenance: 'repo',
  assumes: ['mu_peak and mu_valley as in the example of the authors; warm-up and decay as shares of the run instead of 200 and 400 steps'],
  demo: { testbed: 'arithmetic-demos', baseline: 'grpo-sft-mix', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { phases: also(muSchedule) },
};
