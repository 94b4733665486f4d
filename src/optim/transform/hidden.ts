import type { ParamSpec, Settings } from '../../contracts/index.js';
import { adamw, adamwTransform } from './adamw.js';
import { partition } from './compose.js';
import type { GradientTransform, Leaves } from './slot.js';

/** Matrices from hidden vectors to hidden vectors: what methods for matrices work on. */
export const isHidden = (spec: ParamSpec): boolean => spec.role === 'matrix';

/** One transform for the hidden matrices, AdamW at the given rate (times a constant) for embeddings, the tied head, gains and biases. */
export const hiddenAndRest = (hidden: GradientTransform, settings: Settings, restRate: string, restFactor = 1): GradientTransform =>
  partition({ hidden, rest: adamwTransform(settings, restRate, restFactor) }, (spec) => (isHidden(spec) ? 'hidden' : 'rest'));

/** Operations of a step: those of each hidden matrix by `hidden`, those of AdamW for the rest. */
export function hiddenAndRestFlops(specs: Leaves<ParamSpec>, settings: Settings, hidden: (spec: ParamSpec) => number): number {
  const entries = Object.entries(specs);
  const rest = Object.fromEntries(entries.filter(([, spec]) => !isHidden(spec)));
  return entries.reduce((n, [, spec]) => n + (isHidden(spec) ? hidden(spec) : 0), adamw.flops(rest, settings));
}
