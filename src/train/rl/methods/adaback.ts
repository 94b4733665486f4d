import { wrap } from '../compose.js';
import { revealedPrefix, withIntervals } from '../parts/backtracking.js';
import type { RlMethod } from './slot.js';

/**
 * AdaBack, adaptive backtracking (Amani et al. 2025, arXiv:2506.18110): the policy continues a prefix of the solution; how much is revealed is searched for each
 * problem by its rewards, as little as still earns them.
 *   share ~ U(low, high);   mean r < tau: low <- share;   mean r >= tau: high <- share, low <- 0
 * Against grpo: the scaffold, and prompts that also move the intervals.
 */
export const adaback: RlMethod = {
  id: 'adaback',
  summary: 'a prefix of the solution is revealed, its length searched for each problem by its rewards',
  seed: 'P292',
  paper: 'arXiv:2506.18110',
  equation: 'share ~ U(low, high); mean r < tau: low <- share; else high <- share, low <- 0',
  parent: 'grpo',
  defaults: { adaback_threshold: 0.5, adaback_plain: 0.1 },
  knobs: {
    adaback_threshold: 'mean reward of a problem from which on less is revealed',
    adaback_plain: 'probability that nothing is revealed, as at test time',
  },
  limits: [{ slot: 'scaffold', settings: { adaback_plain: 1 }, tolerance: 0 }],
  provenance: 'derived',
  assumes: [
    'the rule of the intervals is from a description of the paper; threshold 0.5, probability 0.1 and speed 0.1 of the averages are chosen here',
    'a failure where nothing was revealed on purpose moves no interval',
  ],
  demo: { testbed: 'parity-long', baseline: 'grpo', method: 'grpo+adaback', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { scaffold: revealedPrefix, prompts: wrap(withIntervals) },
};
