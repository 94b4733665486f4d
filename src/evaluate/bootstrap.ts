import jstat from 'jstat';
import { VitroError } from '../tensor/errors.js';
import { keyWords, randomKey, threefryBits } from '../tensor/random/threefry.js';

const { jStat } = jstat;

/** A figure with a two-sided interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** default 0.95 */
  readonly confidence?: number;
  /** resamplings; default 2000 */
  readonly resamples?: number;
  /** default 0; the interval is a function of it */
  readonly seed?: number;
}

/** Quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan 1996). */
function quantile(sorted: Float64Array, p: number): number {
  const place = p * (sorted.length - 1);
  const below = Math.floor(place);
  const [a, b] = [sorted[below] as number, sorted[Math.min(below + 1, sorted.length - 1)] as number];
  return a + (b - a) * (place - below);
}

/** The standard normal quantile. */
export const normalQuantile = (p: number): number => jStat.normal.inv(p, 0, 1);

/**
 * A statistic of items with its percentile bootstrap interval over the items (Efron 1979): the statistic is computed on `resamples` draws of as many items with
 * replacement. NaN bounds for one item.
 */
export function bootstrap<T>(items: readonly T[], statistic: (items: readonly T[]) => number, options: BootstrapOptions = {}): Interval {
  const { confidence = 0.95, resamples = 2000, seed = 0 } = options;
  const n = items.length;
  if (n === 0) throw new VitroError('bootstrap: needs at least one item');
  if (!(confidence > 0 && confidence < 1)) throw new VitroError(`bootstrap: confidence must lie between 0 and 1, got ${confidence}`);
  const value = statistic(items);
  if (n === 1) return { value, low: Number.NaN, high: Number.NaN };
  const words = threefryBits(keyWords(randomKey(seed)), resamples * n);
  const sample: T[] = [...items];
  const values = Float64Array.from({ length: resamples }, (_, r) => {
    for (let i = 0; i < n; i++) sample[i] = items[Math.floor(((words[r * n + i] as number) / 2 ** 32) * n)] as T;
    return statistic(sample);
  }).sort();
  return { value, low: quantile(values, (1 - confidence) / 2), high: quantile(values, (1 + confidence) / 2) };
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** The mean over items with its bootstrap interval. */
export const bootstrapMean = (values: readonly number[], options?: BootstrapOptions): Interval => bootstrap(values, meanOf, options);

/**
 * Treatment minus baseline over the same items, with the bootstrap interval of the mean difference: items are drawn as pairs, so that what they have in common
 * cancels.
 */
export function pairedBootstrap(baseline: readonly number[], treatment: readonly number[], options?: BootstrapOptions): Interval {
  if (baseline.length !== treatment.length)
    throw new VitroError(`pairedBootstrap: ${baseline.length} baseline and ${treatment.length} treatment values do not pair up`);
  return bootstrapMean(
    treatment.map((x, i) => x - (baseline[i] as number)),
    options,
  );
}

/** Share of successes with Wilson's score interval (Wilson 1927). */
export function wilson(successes: number, n: number, confidence = 0.95): Interval {
  if (!(Number.isInteger(n) && n > 0 && successes >= 0 && successes <= n))
    throw new VitroError(`wilson: ${successes} of ${n} is not a share`);
  const z = normalQuantile((1 + confidence) / 2);
  const p = successes / n;
  const scale = 1 + z ** 2 / n;
  const centre = (p + z ** 2 / (2 * n)) / scale;
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / n + z ** 2 / (4 * n ** 2));
  return { value: p, low: successes === 0 ? 0 : centre - half, high: successes === n ? 1 : centre + half };
}
