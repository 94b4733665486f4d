import { z } from 'zod';

/**
 * Kinds of values in configurations. The error of each says what is allowed; `checkConfig` puts key and value before it. Descriptions become
 * the help text of the flags.
 */

export const text = () => z.string({ error: 'text' }).min(1, { error: 'text that is not empty' });

export function whole(min: number) {
  const error = `a whole number of at least ${min}`;
  return z.int({ error }).min(min, { error });
}

/** A finite number within [min, max], or beyond an excluded bound. */
export function real(allowed: string, test: (x: number) => boolean) {
  return z.number({ error: allowed }).refine((x) => Number.isFinite(x) && test(x), { error: allowed });
}
export const positive = () => real('a number above 0', (x) => x > 0);
export const nonNegative = () => real('a number of at least 0', (x) => x >= 0);
export const share = () => real('a number from 0 to below 1', (x) => x >= 0 && x < 1);

export const flag = () => z.boolean({ error: 'true or false' });

export const oneOf = <const T extends readonly string[]>(values: T) => z.enum(values, { error: `one of ${values.join(', ')}` });

export const knob = () =>
  z.union([z.number(), z.string(), z.boolean(), z.array(z.number())], { error: 'a number, text, true, false or a list of numbers' });
