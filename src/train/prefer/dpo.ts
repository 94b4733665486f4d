import { onesLike } from '../../tensor/ops/create.js';
import { mul, sub } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';
import { smoothedSigmoid } from './terms.js';

/**
 * Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7). The root of the slot.
 *   r(y) = beta (log p(y | x) - log p_ref(y | x)),   L = mean -log sigmoid(r(y+) - r(y-))
 * `label_smoothing` is the conservative form of Mitchell 2023 (labels that are wrong with that probability).
 */
export const dpo: PreferMethod = {
  id: 'dpo',
  summary: 'logistic loss of the difference of log-probability ratios',
  paper: 'arXiv:2305.18290',
  equation: 'L = mean -log sigmoid(beta (log p/p_ref (y+) - log p/p_ref (y-)))',
  defaults: { beta: 0.1, label_smoothing: 0 },
  knobs: { beta: 'how dear departures from the reference are', label_smoothing: 'probability that a label is wrong' },
  limits: [],
  provenance: 'paper',
  assumes: [],
  reference: 'given',
  pairing: 'pairs',
  tokenWeight: ({ sequences }) => onesLike(sequences.counted),
  reward: ({ logps, referenceLogps, settings }) => mul(sub(logps, referenceLogps), Number(settings.beta)),
  loss: ({ margins, settings }) => smoothedSigmoid(margins, Number(settings.label_smoothing)),
  select: ({ sequences }) => sequences.present,
  pairWeight: ({ sequences }) => onesLike(sequences.present),
};
