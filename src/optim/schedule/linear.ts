import { decayOf, progressAfterWarmup } from './decay.js';
import type { ScheduleMethod } from './slot.js';
import { checkSpan, withWarmup } from './warmup.js';

/**
 * A straight line from the peak at the first step after the rise to min_lr_ratio at the last step.
 * Against constant: the rate falls from the end of the rise on.
 */
export const linear: ScheduleMethod = {
  id: 'linear',
  summary: 'a straight fall from the peak to the last step',
  paper: "the field's standard",
  equation: 'f(s) = r + (1 - r) (1 - x), x = (s - warmup) / (total - 1 - warmup)',
  parent: 'constant',
  defaults: { min_lr_ratio: 0 },
  knobs: { min_lr_ratio: 'factor at the last step' },
  limits: [{ settings: { min_lr_ratio: 1 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the last step stands at min_lr_ratio exactly (with 0 it does not move the weights)'],
  factor: (settings, span) => {
    checkSpan('linear', span);
    const decay = decayOf('linear', { ...settings, decay_type: 'linear' });
    return withWarmup(span, (step) => decay(progressAfterWarmup(step, span)));
  },
};
