import { sigmoid } from '../../tensor/ops/activation.js';
import { abs, mul, sub } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';

/**
 * Confidence-weighted preference optimisation (Afzali, Jeon and Brbic 2026, arXiv:2603.04968): pairs that a weak model labels count by how sure it is.
 *   w = 2 (sigmoid(s(y+) - s(y-)) - 1/2), with scores s of a weak reward model
 * Against dpo: the weights of the pairs. The column `score_margin` holds s(y+) - s(y-); scoring a set gives it.
 */
export const cwPo: PreferMethod = {
  id: 'cw-po',
  summary: 'pairs count by how sure the weak model is that labelled them',
  seed: 'P180',
  paper: 'arXiv:2603.04968',
  equation: 'w = 2 sigmoid(s(y+) - s(y-)) - 1',
  parent: 'dpo',
  defaults: { beta: 0.1, label_smoothing: 0, confidence: true },
  knobs: { confidence: 'false weighs all pairs alike, as dpo' },
  limits: [{ settings: { confidence: false }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['where the label is not the weak model’s own, so that the margin may be negative, its absolute value counts'],
  demo: { testbed: 'preference-weak-labels', baseline: 'dpo', metric: 'eval_utility', cost: 'tokens', expect: 'gain' },
  columns: { score_margin: 'score of the chosen response less that of the rejected one, by the model that labelled the pair' },
  wraps: ['pairWeight'],
  pairWeight: ({ column, settings }, inner) =>
    settings.confidence === false ? inner() : mul(inner(), sub(mul(sigmoid(abs(column('score_margin'))), 2), 1)),
};
