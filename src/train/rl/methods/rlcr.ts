import { wrap } from '../compose.js';
import { withCalibration } from '../parts/calibration.js';
import type { RlMethod } from './slot.js';

/**
 * RLCR, reinforcement learning with calibration rewards (Damani et al. 2025, arXiv:2507.16806): the completion states its confidence q behind the answer.
 *   R = 1[right] - (q - 1[right])^2
 * Against grpo: the Brier score is part of the reward. Completions end `#answer~7`: a digit d is the confidence (d + 0.5) / 10, a decimal fraction is itself; the
 * reward functions see the completion without it.
 */
export const rlcr: RlMethod = {
  id: 'rlcr',
  summary: 'right answers and honest confidences: correctness minus the Brier score',
  seed: 'P013',
  paper: 'arXiv:2507.16806',
  equation: 'R = r - (q - r)^2',
  parent: 'grpo',
  defaults: { calibration_coef: 1, unreadable_penalty: 2 },
  knobs: {
    calibration_coef: 'weight of the Brier score',
    unreadable_penalty: 'what a completion without a readable confidence pays instead of its Brier score',
  },
  limits: [{ slot: 'reward', settings: { calibration_coef: 0 }, inputs: 'confidences behind answers', tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'an unreadable confidence costs 2: the code gives such completions 0 where a readable one has 0.5 + 0.5 right + 0.5 (1 - Brier)',
    "the advantage is the parent's; the code does not divide by the standard deviation",
  ],
  demo: { testbed: 'calibrated-arithmetic', baseline: 'grpo', metric: 'brier', cost: 'generated tokens', expect: 'gain' },
  slots: { reward: wrap(withCalibration) },
};
