import { decayOf, progressAfterWarmup } from './decay.js';
import type { ScheduleMethod } from './slot.js';
import { checkSpan, withWarmup } from './warmup.js';

/**
 * Half a cosine from the peak at the first step after the rise to min_lr_ratio at the last step
 * (Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", arXiv:1608.03983, equation 5, without restarts).
 * Against constant: the rate falls from the end of the rise on.
 */
export const cosine: ScheduleMethod = {
  id: 'cosine',
  summary: 'half a cosine from the peak to the last step',
  paper: 'arXiv:1608.03983',
  equation: 'f(s) = r + (1 - r) (1 + cos(pi x)) / 2, x = (s - warmup) / (total - 1 - warmup)',
  parent: 'constant',
  defaults: { min_lr_ratio: 0 },
  knobs: { min_lr_ratio: 'factor at the last step' },
  limits: [{ settings: { min_lr_ratio: 1 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the last step stands at min_lr_ratio exactly (with 0 it does not move the weights)'],
  factor: (settings, span) => {
    checkSpan('cosine', span);
    const decay = decayOf('cosine', { ...settings, decay_type: 'cosine' });
    return withWarmup(span, (step) => decay(progressAfterWarmup(step, span)));
  },
};
