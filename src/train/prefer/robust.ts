import { logSigmoid } from '../../tensor/ops/activation.js';
import { add, div, mul, neg } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';

/**
 * Robust DPO (Chowdhury, Kini and Natarajan 2024, arXiv:2403.00409, equation 12): an unbiased estimate of the loss of the true labels where a share
 * `label_smoothing` of them is flipped.
 *   L = mean ( -(1 - s) log sigmoid(m) + s log sigmoid(-m) ) / (1 - 2 s),   m = r(y+) - r(y-)
 * Against dpo: the loss.
 */
export const robust: PreferMethod = {
  id: 'robust',
  summary: 'unbiased loss where a known share of the labels is flipped',
  paper: 'arXiv:2403.00409',
  equation: 'L = mean (-(1 - s) log sigmoid(m) + s log sigmoid(-m)) / (1 - 2 s)',
  parent: 'dpo',
  defaults: { beta: 0.1, label_smoothing: 0.1 },
  knobs: { label_smoothing: 'share of the labels that is flipped, below 0.5; 0 is dpo' },
  limits: [{ settings: { label_smoothing: 0 }, tolerance: 1e-7 }],
  provenance: 'paper',
  assumes: [],
  loss: ({ margins, settings }) => {
    const s = Number(settings.label_smoothing);
    return div(add(mul(neg(logSigmoid(margins)), 1 - s), mul(logSigmoid(neg(margins)), s)), 1 - 2 * s);
  },
};
