import { mul } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';
import { chosenLoss } from './terms.js';

/**
 * Contrastive preference optimisation (Xu et al. 2024, arXiv:2401.08417, equation 5): DPO with a uniform reference, and cross-entropy of the chosen
 * responses.
 *   L = mean -log sigmoid(beta (log p(y+) - log p(y-))) + cpo_alpha CE(y+)
 * Against dpo: the reference, and the auxiliary term.
 */
export const cpo: PreferMethod = {
  id: 'cpo',
  summary: 'DPO without a reference, with cross-entropy of the chosen responses',
  paper: 'arXiv:2401.08417',
  equation: 'L = mean -log sigmoid(beta (log p(y+) - log p(y-))) + cpo_alpha CE(y+)',
  parent: 'dpo',
  defaults: { beta: 0.1, label_smoothing: 0, cpo_alpha: 1 },
  knobs: { cpo_alpha: 'weight of the cross-entropy of the chosen responses' },
  limits: [],
  provenance: 'paper',
  assumes: ['the cross-entropy is a mean over all tokens of chosen responses in the batch'],
  reference: 'none',
  auxiliary: (context) => mul(chosenLoss(context), Number(context.settings.cpo_alpha)),
};
