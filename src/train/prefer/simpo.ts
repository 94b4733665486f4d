import { mul, sub } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';
import { meanLogps, smoothedSigmoid } from './terms.js';

/**
 * SimPO (Meng, Xia and Chen 2024, arXiv:2405.14734, equation 6): no reference; the reward is the mean log-probability of a token.
 *   r(y) = beta log p(y | x) / |y|,   L = mean -log sigmoid(r(y+) - r(y-) - gamma)
 * Against dpo: the reference, the reward, and a margin in the loss.
 */
export const simpo: PreferMethod = {
  id: 'simpo',
  summary: 'mean log-probabilities with a margin, no reference',
  paper: 'arXiv:2405.14734',
  equation: 'L = mean -log sigmoid(beta (log p(y+)/|y+| - log p(y-)/|y-|) - gamma)',
  parent: 'dpo',
  defaults: { beta: 2, simpo_gamma: 1, label_smoothing: 0 },
  knobs: { simpo_gamma: 'margin that the rewards should keep; the paper takes half of beta' },
  limits: [],
  provenance: 'paper',
  assumes: [],
  reference: 'none',
  reward: (context) => mul(meanLogps(context), Number(context.settings.beta)),
  loss: ({ margins, settings }) => smoothedSigmoid(sub(margins, Number(settings.simpo_gamma)), Number(settings.label_smoothing)),
};
