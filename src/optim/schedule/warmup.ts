import { VitroError } from '../../tensor/errors.js';
import type { Schedule, ScheduleSpan } from './slot.js';

/** Refuses a span that is no run: whole numbers with 0 <= warmupSteps < totalSteps. */
export function checkSpan(name: string, { totalSteps, warmupSteps }: ScheduleSpan): void {
  if (!(Number.isInteger(totalSteps) && Number.isInteger(warmupSteps) && warmupSteps >= 0 && warmupSteps < totalSteps))
    throw new VitroError(`${name}: needs whole numbers 0 <= warmupSteps < totalSteps, got ${warmupSteps} and ${totalSteps}`);
}

/**
 * The rise that all schedules share: (s + 1) / warmupSteps while s < warmupSteps, so that the first step moves and the last of the rise is
 * at the peak; afterwards `main(s)` with the run's own step number s.
 */
export const withWarmup =
  ({ warmupSteps }: ScheduleSpan, main: Schedule): Schedule =>
  (step) =>
    step < warmupSteps ? (step + 1) / warmupSteps : main(step);
