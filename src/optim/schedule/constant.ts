import type { ScheduleMethod } from './slot.js';
import { checkSpan, withWarmup } from './warmup.js';

/** The peak at every step after the rise. The root of the slot. */
export const constant: ScheduleMethod = {
  id: 'constant',
  summary: 'the peak rate after the warm-up',
  paper: "the field's standard",
  equation: 'f(s) = 1',
  defaults: {},
  limits: [],
  provenance: 'paper',
  assumes: [],
  factor: (_, span) => {
    checkSpan('constant', span);
    return withWarmup(span, () => 1);
  },
};
