import { wrap } from '../compose.js';
import { withDiscount } from '../parts/length.js';
import type { RlMethod } from './slot.js';

/**
 * Discounted reinforcement learning for concise reasoning (Ayoub et al. 2025, arXiv:2510.23486).
 *   r_i -> discount^l_i r_i where r_i > 0
 * Against grpo: a right answer is worth less the later it comes. Close to 1, the discounted optimum is that of accuracy first and the shortest of its
 * kind second (Blackwell optimality).
 */
export const discounted: RlMethod = {
  id: 'discounted',
  summary: 'the reward of a right answer is discounted by its length',
  seed: 'P251',
  paper: 'arXiv:2510.23486',
  equation: 'r -> discount^l r',
  parent: 'grpo',
  defaults: { discount: 0.995 },
  knobs: { discount: 'gamma of one token; the longer the answers, the closer to 1' },
  limits: [{ slot: 'reward', settings: { discount: 1 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'the gamma of the paper is not known to us; 0.995 takes a quarter from an answer of 60 tokens',
    'all reward functions are discounted (the paper leaves its format reward as it is), and no reward below 0 is',
    "the parent's reference stays where it is (the paper moves it)",
  ],
  demo: {
    testbed: 'arithmetic-verbose',
    baseline: 'grpo',
    method: 'grpo+discounted',
    metric: 'concise',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { reward: wrap(withDiscount) },
};
