import jstat from 'jstat';

const { jStat } = jstat;

/** An estimate with a two-sided Student-t interval. `low` and `high` are NaN where one observation alone gives no interval. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** sample standard deviation (n - 1); NaN for one observation */
  readonly sd: number;
  readonly n: number;
}

/** A paired difference, treatment minus baseline over the same units (seeds, items). */
export interface PairedDifference extends Estimate {
  /** two-sided p-value of the paired t test that the mean difference is zero; NaN for one pair */
  readonly p: number;
  /** smallest true difference that this number of pairs and this spread would detect with the stated power; see minimumDetectableEffect */
  readonly minimum_detectable_effect: number;
}

export type Verdict = 'gain' | 'loss' | 'equivalent' | 'inconclusive';

export interface VerdictOptions {
  /** differences smaller than this do not matter; in the metric's unit */
  readonly margin: number;
  readonly better: 'lower' | 'higher';
  /** p-value to judge by where it was corrected for several comparisons; default: the difference's own */
  readonly p?: number;
  /** default 0.05 */
  readonly alpha?: number;
}

export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('mean: needs at least one value');
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** Sample standard deviation with n - 1; NaN for one value. */
export function standardDeviation(values: readonly number[]): number {
  const m = mean(values);
  return Math.sqrt(values.reduce((a, x) => a + (x - m) ** 2, 0) / (values.length - 1));
}

function checkFinite(name: string, values: readonly number[]): void {
  const bad = values.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new RangeError(`${name}: value ${bad} is ${values[bad]}; leave diverged runs out and say so, or report them apart`);
}

/** Mean and two-sided interval mean +- t(n-1) sd/sqrt(n) at the given confidence level. */
export function estimate(values: readonly number[], confidence = 0.95): Estimate {
  checkFinite('estimate', values);
  const n = values.length;
  const m = mean(values);
  if (n < 2) return { mean: m, low: Number.NaN, high: Number.NaN, sd: Number.NaN, n };
  const sd = standardDeviation(values);
  const half = (jStat.studentt.inv(0.5 + confidence / 2, n - 1) * sd) / Math.sqrt(n);
  return { mean: m, low: m - half, high: m + half, sd, n };
}

/** Paired t analysis of treatment - baseline. `baseline[i]` and `treatment[i]` share a seed or an item. */
export function pairedDifference(baseline: readonly number[], treatment: readonly number[], confidence = 0.95): PairedDifference {
  if (baseline.length !== treatment.length)
    throw new RangeError(`pairedDifference: ${baseline.length} baseline and ${treatment.length} treatment values do not pair up`);
  const differences = treatment.map((x, i) => x - (baseline[i] as number));
  const e = estimate(differences, confidence);
  if (e.n < 2) return { ...e, p: Number.NaN, minimum_detectable_effect: Number.NaN };
  const p = e.sd === 0 ? (e.mean === 0 ? 1 : 0) : 2 * (1 - jStat.studentt.cdf(Math.abs(e.mean) / (e.sd / Math.sqrt(e.n)), e.n - 1));
  return { ...e, p, minimum_detectable_effect: minimumDetectableEffect(e.sd, e.n, { alpha: 1 - confidence }) };
}

/**
 * `equivalent` where the whole interval lies within +-margin (even if it leaves zero out: the difference is real but does not matter);
 * else `gain` or `loss` where p < alpha; else `inconclusive`.
 */
export function verdict(difference: PairedDifference, options: VerdictOptions): Verdict {
  const { margin, better, p = difference.p, alpha = 0.05 } = options;
  if (!(margin >= 0)) throw new RangeError(`verdict: margin ${margin} must be zero or more`);
  if (Math.max(Math.abs(difference.low), Math.abs(difference.high)) < margin) return 'equivalent';
  if (!(p < alpha)) return 'inconclusive';
  return difference.mean < 0 === (better === 'lower') ? 'gain' : 'loss';
}

/** Holm's step-down correction: adjusted p-values in the order given. NaN (no test possible) stays NaN and is not counted. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues
    .map((p, i) => ({ p, i }))
    .filter(({ p }) => !Number.isNaN(p))
    .sort((a, b) => a.p - b.p);
  const out = pValues.map(() => Number.NaN);
  let running = 0;
  order.forEach(({ p, i }, rank) => {
    running = Math.max(running, Math.min(1, (order.length - rank) * p));
    out[i] = running;
  });
  return out;
}

/** Power of the two-sided one-sample (paired) t test for a true mean `effect`, from the noncentral t distribution. */
export function pairedPower(effect: number, sd: number, n: number, alpha = 0.05): number {
  const dof = n - 1;
  const critical = jStat.studentt.inv(1 - alpha / 2, dof);
  const noncentrality = (Math.abs(effect) / sd) * Math.sqrt(n);
  return 1 - jStat.noncentralt.cdf(critical, dof, noncentrality) + jStat.noncentralt.cdf(-critical, dof, noncentrality);
}

/** Smallest true mean difference that a paired t test over n pairs with standard deviation `sd` finds with probability `power` (default 0.8). */
export function minimumDetectableEffect(sd: number, n: number, options: { alpha?: number; power?: number } = {}): number {
  const { alpha = 0.05, power = 0.8 } = options;
  if (n < 2 || Number.isNaN(sd)) return Number.NaN;
  if (sd === 0) return 0;
  let low = 0;
  let high = sd;
  while (pairedPower(high, sd, n, alpha) < power) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (pairedPower(middle, sd, n, alpha) < power) low = middle;
    else high = middle;
  }
  return high;
}
