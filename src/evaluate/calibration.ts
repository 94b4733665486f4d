import { VitroError } from '../tensor/errors.js';
import { type BootstrapOptions, bootstrap, type Interval } from './bootstrap.js';

/** A stated probability of being right, and whether it was. */
export interface Forecast {
  readonly confidence: number;
  readonly correct: boolean;
}

function checkForecasts(what: string, forecasts: readonly Forecast[]): void {
  if (forecasts.length === 0) throw new VitroError(`${what}: needs at least one forecast`);
  const bad = forecasts.findIndex((f) => !(f.confidence >= 0 && f.confidence <= 1));
  if (bad >= 0) throw new VitroError(`${what}: confidence ${forecasts[bad]?.confidence} of item ${bad} must lie in [0, 1]`);
}

/** Mean squared difference of confidence and outcome (Brier 1950); 0 is best, always saying 0.5 gives 0.25. */
export function brierScore(forecasts: readonly Forecast[]): number {
  checkForecasts('brierScore', forecasts);
  return forecasts.reduce((sum, f) => sum + (f.confidence - (f.correct ? 1 : 0)) ** 2, 0) / forecasts.length;
}

export interface ReliabilityBin {
  readonly count: number;
  /** mean confidence; NaN for an empty bin */
  readonly confidence: number;
  /** share that was right; NaN for an empty bin */
  readonly accuracy: number;
}

/** Forecasts by confidence in `bins` equal parts of (0, 1]: bin b holds (b/bins, (b+1)/bins], the first one 0 too. */
export function reliability(forecasts: readonly Forecast[], bins = 10): ReliabilityBin[] {
  checkForecasts('reliability', forecasts);
  if (!(Number.isInteger(bins) && bins > 0)) throw new VitroError(`reliability: bins must be a positive integer, got ${bins}`);
  const groups = Array.from({ length: bins }, (): Forecast[] => []);
  for (const f of forecasts) groups[Math.max(0, Math.ceil(f.confidence * bins) - 1)]?.push(f);
  return groups.map((group) => ({
    count: group.length,
    confidence: group.reduce((sum, f) => sum + f.confidence, 0) / group.length,
    accuracy: group.filter((f) => f.correct).length / group.length,
  }));
}

/**
 * Expected calibration error (Naeini et al. 2015): ECE = sum_b n_b/n |accuracy_b - confidence_b| over bins of equal width. Biased upwards where bins hold few
 * items.
 */
export function expectedCalibrationError(forecasts: readonly Forecast[], bins = 10): number {
  return reliability(forecasts, bins).reduce(
    (sum, b) => (b.count ? sum + (b.count / forecasts.length) * Math.abs(b.accuracy - b.confidence) : sum),
    0,
  );
}

/** ECE and Brier score with bootstrap intervals over the items. */
export function calibration(
  forecasts: readonly Forecast[],
  options: BootstrapOptions & { readonly bins?: number } = {},
): { readonly ece: Interval; readonly brier: Interval } {
  return {
    ece: bootstrap(forecasts, (items) => expectedCalibrationError(items, options.bins), options),
    brier: bootstrap(forecasts, brierScore, options),
  };
}
