import { cosine } from './cosine.js';
import type { Schedule, ScheduleSpan } from './slot.js';

/** The cosine schedule for callers that have numbers instead of settings. */
export const warmupCosine = ({ minRatio, ...span }: ScheduleSpan & { readonly minRatio: number }): Schedule =>
  cosine.factor({ min_lr_ratio: minRatio }, span);
