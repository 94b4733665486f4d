import type { Ledger } from '../../contracts/index.js';
import { estimate } from '../../evaluate/statistics.js';
import type { MetricsLine, RunData } from './readRuns.js';

/** What a curve can run along. */
export const axes = ['tokens', 'flops', 'seconds'] as const;
export type Axis = (typeof axes)[number];

/** Mean over the seeds at one step, with its 95% interval (NaN for one seed). */
export interface CurvePoint {
  readonly step: number;
  readonly x: Readonly<Record<Axis, number>>;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** One method's curve of one metric. */
export interface Curve {
  /** smoothed where the window says so */
  readonly points: readonly CurvePoint[];
  /** mean over the seeds before smoothing; empty where nothing was smoothed */
  readonly raw: readonly CurvePoint[];
  /** lines of the log that one point averages over; 1 = as logged */
  readonly window: number;
  /** lines of the log, and steps between the first two */
  readonly lines: number;
  readonly spacing: number;
}

interface SeedPoint {
  readonly x: Readonly<Record<Axis, number>>;
  readonly value: number;
}

/** Points of one run by step. Floating-point operations grow with the tokens; seconds are those of training, summed up from `step_time`. */
function seedPoints(lines: readonly MetricsLine[], metric: string, ledger: Ledger): Map<number, SeedPoint> {
  const points = new Map<number, SeedPoint>();
  const flops = ledger.model_flops + ledger.optimizer_flops;
  const lastStep = Math.max(1, ...lines.map((l) => l.global_step ?? 0));
  const timed = lines.some((l) => typeof l.step_time === 'number');
  let seconds = 0;
  let before = 0;
  for (const line of lines) {
    const step = line.global_step;
    if (typeof step !== 'number') continue;
    seconds += (line.step_time ?? 0) * (step - before);
    before = step;
    const value = line[metric];
    if (typeof value !== 'number') continue;
    const tokens = line.num_tokens ?? (ledger.tokens_trained * step) / lastStep;
    const share = ledger.tokens_trained > 0 ? tokens / ledger.tokens_trained : step / lastStep;
    points.set(step, { x: { tokens, flops: flops * share, seconds: timed ? seconds : ledger.train_seconds * share }, value });
  }
  return points;
}

const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Centred moving average over `window` (odd) values; the window shrinks at the ends, so that it stays centred. */
export function smooth(values: readonly number[], window: number): number[] {
  const half = (window - 1) / 2;
  return values.map((_, i) => {
    const reach = Math.min(half, i, values.length - 1 - i);
    return average(values.slice(i - reach, i + reach + 1));
  });
}

/** Keeps at most `most` items, evenly spaced, first and last among them. */
function thin<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / (most - 1))] as T);
}

/** The window that smooths a log of `lines` lines: about a twentieth of them, odd. */
export const smoothingWindow = (lines: number): number => 2 * Math.round(lines / 40) + 1;

/**
 * Mean and 95% interval over the seeds of one method, at the steps that all its finished runs logged. Diverged runs are left out. With `smoothed`, each
 * seed is smoothed on its own before the mean and the interval are taken.
 */
export function curveOf(runs: readonly RunData[], metric: string, options: { readonly smoothed: boolean; readonly most?: number }): Curve {
  const seeds = runs.flatMap(({ record, lines }) => (record?.status === 'finished' ? [seedPoints(lines, metric, record.ledger)] : []));
  const steps = [...(seeds[0]?.keys() ?? [])].filter((step) => seeds.every((s) => s.has(step))).sort((a, b) => a - b);
  const series = seeds.map((points) => steps.map((step) => points.get(step) as SeedPoint));
  const window = options.smoothed ? smoothingWindow(steps.length) : 1;
  const pointsOf = (values: readonly (readonly number[])[]): readonly CurvePoint[] =>
    thin(
      steps.map((step, i): CurvePoint => {
        const x = Object.fromEntries(axes.map((axis) => [axis, average(series.map((s) => (s[i] as SeedPoint).x[axis]))]));
        const { mean, low, high } = estimate(values.map((v) => v[i] as number));
        return { step, x: x as Record<Axis, number>, mean, low, high };
      }),
      options.most ?? 120,
    );
  const values = series.map((s) => s.map((p) => p.value));
  return {
    window,
    lines: steps.length,
    spacing: steps.length > 1 ? (steps[1] as number) - (steps[0] as number) : 0,
    points: pointsOf(window > 1 ? values.map((v) => smooth(v, window)) : values),
    raw: window > 1 ? pointsOf(values) : [],
  };
}
