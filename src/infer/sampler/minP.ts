import { add, log, maximum } from '../../tensor/ops/elementwise.js';
import { max } from '../../tensor/ops/reduce.js';
import { checkNumber, keepFrom, scalarOf } from './checks.js';
import type { SamplerMethod } from './slot.js';

/**
 * Min-p sampling (Nguyen et al. 2024, arXiv:2407.01082): tokens at least min_p times as probable as the most probable one,
 *   p_y >= min_p max p   <=>   z_y >= max z + log min_p
 * Against sample: less probable tokens are ruled out, more of them where the model is sure.
 */
export const minP: SamplerMethod = {
  id: 'min-p',
  summary: 'draws from tokens at least min_p times as probable as the most probable one',
  paper: 'arXiv:2407.01082',
  equation: 'y ~ softmax(z) restricted to p_y >= min_p max p',
  parent: 'sample',
  defaults: { min_p: 0.05 },
  knobs: { min_p: '0 to 1; 0 = all tokens, 1 = only the most probable' },
  limits: [{ settings: { min_p: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [],
  scalars: ['min_p'],
  // the smallest normal number stands for 0: its logarithm is finite and below any difference that leaves a probability above 0
  transform: (logits, context) =>
    keepFrom(logits, add(max(logits, { axis: -1, keepDims: true }), log(maximum(scalarOf(context, 'min_p'), 1.2e-38)))),
  check: (settings) => checkNumber(settings, 'min_p', (p) => p >= 0 && p <= 1, 'from 0 to 1'),
};
