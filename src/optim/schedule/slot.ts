import type { Method, Settings } from '../../contracts/index.js';

/**
 * The slot "schedule": how the learning rate moves over a run, and what is made of the run's checkpoints at its end.
 * Runs on the host in float64; the factor enters the compiled step as a scalar.
 */

/** The slot, for the generated index. */
export const slot = { id: 'schedule', record: 'schedules', summary: 'how the learning rate moves over a run' } as const;

/** Learning rate of step 0, 1, ... as a factor of the peak. */
export type Schedule = (step: number) => number;

export interface ScheduleSpan {
  readonly totalSteps: number;
  /** steps of the linear rise at the start, below totalSteps */
  readonly warmupSteps: number;
}

/** The weights that replace the last ones at the end of a run: sum over `weights` of weight times the parameters after that many steps. Weights add up to 1. */
export interface CheckpointMerge {
  /** number of finished steps -> weight */
  readonly weights: ReadonlyMap<number, number>;
}

/** A learning-rate schedule. Keys of `defaults` follow TRL where it has them (warmup_ratio is the loop's, not the schedule's). */
export interface ScheduleMethod extends Method {
  /** Factors at full settings. The rise over `warmupSteps` is the schedule's own part, so that all of them do it alike: see `withWarmup`. */
  factor(settings: Settings, span: ScheduleSpan): Schedule;
  /** checkpoints that are merged at the end of the run; absent = the last weights are the result */
  merge?(settings: Settings, span: ScheduleSpan): CheckpointMerge;
}
