import { maximum, sub } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';

/**
 * Hinge loss on the DPO margin (Zhao et al. 2023, SLiC-HF, arXiv:2305.10425, with the ratios of DPO; Liu et al. 2023, RSO, arXiv:2309.06657).
 *   L = mean max(0, 1 - (r(y+) - r(y-)))
 * Against dpo: the loss.
 */
export const hinge: PreferMethod = {
  id: 'hinge',
  summary: 'hinge loss of the difference of log-probability ratios',
  paper: 'arXiv:2309.06657',
  equation: 'L = mean max(0, 1 - beta (log p/p_ref (y+) - log p/p_ref (y-)))',
  parent: 'dpo',
  defaults: { beta: 0.1 },
  limits: [],
  provenance: 'paper',
  assumes: [],
  loss: ({ margins }) => maximum(sub(1, margins), 0),
};
