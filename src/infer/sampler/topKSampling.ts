import { VitroError } from '../../tensor/errors.js';
import { topK } from '../../tensor/ops/order.js';
import { slice } from '../../tensor/ops/slicing.js';
import { checkNumber, keepFrom } from './checks.js';
import type { SamplerMethod } from './slot.js';

/**
 * Only the k most probable tokens (Fan, Lewis and Dauphin 2018, arXiv:1805.04833, section 5.4).
 * Against sample: tokens below the k-th largest logit are ruled out.
 */
export const topKSampling: SamplerMethod = {
  id: 'top-k-sampling',
  summary: 'draws from the k most probable tokens',
  paper: 'arXiv:1805.04833',
  equation: 'y ~ softmax(z) restricted to z_y >= the k-th largest logit',
  parent: 'sample',
  defaults: { top_k: 50 },
  knobs: { top_k: 'number of tokens; 0 = all' },
  limits: [{ settings: { top_k: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['tokens whose logit equals the k-th largest all stay, as in transformers'],
  scalars: [],
  transform: (logits, { settings }) => {
    const vocabulary = logits.shape[1];
    if (typeof vocabulary !== 'number') throw new VitroError('top_k needs a vocabulary of fixed size');
    const k = Math.min(Number(settings.top_k), vocabulary);
    if (k === 0 || k === vocabulary) return logits;
    return keepFrom(logits, slice(topK(logits, k).values, { [-1]: [k - 1, k] }));
  },
  check: (settings) => checkNumber(settings, 'top_k', (k) => Number.isInteger(k) && k >= 0, 'a whole number of at least 0 (0 = all)'),
};
