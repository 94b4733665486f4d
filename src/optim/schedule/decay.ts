import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';

/** Curves from 1 at progress 0 to 0 at progress 1. */
const shapes: Readonly<Record<string, (progress: number) => number>> = {
  linear: (x) => 1 - x,
  cosine: (x) => (1 + Math.cos(Math.PI * x)) / 2,
  '1-sqrt': (x) => 1 - Math.sqrt(x),
};

/** Fails unless the value lies between 0 and 1. */
export function checkRatio(name: string, key: string, value: number): number {
  if (!(value >= 0 && value <= 1)) throw new VitroError(`${name}: ${key} must lie between 0 and 1, got ${value}`);
  return value;
}

/** A decay from 1 at progress 0 down to `min_lr_ratio` at progress 1, along the settings' `decay_type`. */
export function decayOf(name: string, settings: Settings): (progress: number) => number {
  const shape = shapes[String(settings.decay_type)];
  if (!shape) throw new VitroError(`${name}: decay_type must be one of ${Object.keys(shapes).join(', ')}, got ${settings.decay_type}`);
  const floor = checkRatio(name, 'min_lr_ratio', Number(settings.min_lr_ratio));
  return (progress) => floor + (1 - floor) * shape(Math.min(1, Math.max(0, progress)));
}

/** Progress of the step in a fall over all steps after the rise: 0 at the first of them, 1 at the last and beyond. */
export function progressAfterWarmup(step: number, span: { readonly totalSteps: number; readonly warmupSteps: number }): number {
  const length = span.totalSteps - 1 - span.warmupSteps;
  return length > 0 ? Math.min(1, (step - span.warmupSteps) / length) : 1;
}
