import { softmax } from '../../tensor/ops/activation.js';
import { lt, where } from '../../tensor/ops/elementwise.js';
import { cumsum, sort } from '../../tensor/ops/order.js';
import { min } from '../../tensor/ops/reduce.js';
import { checkNumber, keepFrom, scalarOf } from './checks.js';
import type { SamplerMethod } from './slot.js';

/**
 * Nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751, section 3.1): the smallest set of most probable tokens whose probabilities add up to
 * top_p. A token stays while the probability of all that are before it in descending order is below top_p; the first always stays.
 * Against sample: the tail is ruled out.
 */
export const topP: SamplerMethod = {
  id: 'top-p',
  summary: 'draws from the smallest set of tokens that holds the probability top_p',
  paper: 'arXiv:1904.09751',
  equation: 'y ~ softmax(z) restricted to the smallest set of largest p with sum p >= top_p',
  parent: 'sample',
  defaults: { top_p: 0.95 },
  knobs: { top_p: 'above 0, at most 1' },
  limits: [{ settings: { top_p: 1 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['tokens whose logit equals that of the last one of the set stay too'],
  scalars: ['top_p'],
  transform: (logits, context) => {
    const falling = sort(logits, { descending: true });
    const before = cumsum(softmax(falling), { exclusive: true });
    // rounding may push the sum to 1 before the end; a top_p of 1 keeps all the same
    const inside = lt(before, where(lt(scalarOf(context, 'top_p'), 1), scalarOf(context, 'top_p'), 2));
    return keepFrom(logits, min(where(inside, falling, 1e30), { axis: -1, keepDims: true }));
  },
  check: (settings) => checkNumber(settings, 'top_p', (p) => p > 0 && p <= 1, 'above 0 and at most 1'),
};
