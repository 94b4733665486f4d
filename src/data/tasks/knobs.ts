import type { Knob } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import { nearestName } from '../names.js';

/** A setting with its default, its legal values and one line of help. */
export type KnobSpec =
  | { readonly kind: 'integer' | 'real'; readonly default: number; readonly min: number; readonly max: number; readonly help: string }
  | { readonly kind: 'flag'; readonly default: boolean; readonly help: string }
  | { readonly kind: 'choice'; readonly default: string; readonly choices: readonly string[]; readonly help: string };

export type KnobSpecs = Readonly<Record<string, KnobSpec>>;

/** The values that a set of knobs takes. */
export type KnobValues<K extends KnobSpecs> = {
  readonly [N in keyof K]: K[N] extends { readonly kind: 'flag' }
    ? boolean
    : K[N] extends { readonly choices: readonly (infer C)[] }
      ? C
      : number;
};

export const integer = (byDefault: number, min: number, max: number, help: string) =>
  ({ kind: 'integer', default: byDefault, min, max, help }) as const;

export const real = (byDefault: number, min: number, max: number, help: string) =>
  ({ kind: 'real', default: byDefault, min, max, help }) as const;

export const flag = (byDefault: boolean, help: string) => ({ kind: 'flag', default: byDefault, help }) as const;

export const choice = <const C extends readonly string[]>(choices: C, byDefault: C[number], help: string) =>
  ({ kind: 'choice', default: byDefault, choices, help }) as const;

function legal(spec: KnobSpec, value: unknown): boolean {
  if (spec.kind === 'flag') return typeof value === 'boolean';
  if (spec.kind === 'choice') return spec.choices.includes(value as string);
  if (typeof value !== 'number' || !(value >= spec.min && value <= spec.max)) return false;
  return spec.kind === 'real' || Number.isInteger(value);
}

function wanted(spec: KnobSpec): string {
  if (spec.kind === 'flag') return 'true or false';
  if (spec.kind === 'choice') return `one of ${spec.choices.join(', ')}`;
  return `${spec.kind === 'integer' ? 'an integer' : 'a number'} from ${spec.min} to ${spec.max}`;
}

/**
 * The given values over the defaults.
 * @throws VitroError naming an unknown setting (with the nearest known one) or an illegal value (with the legal ones)
 */
export function readKnobs<K extends KnobSpecs>(where: string, specs: K, given: Readonly<Record<string, unknown>>): KnobValues<K> {
  const out: Record<string, Knob> = Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, spec.default]));
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (!spec) {
      const near = nearestName(name, Object.keys(specs));
      throw new VitroError(
        `${where} has no setting ${name}${near ? `; did you mean ${near}?` : ''} Its settings: ${Object.keys(specs).join(', ')}.`,
      );
    }
    if (!legal(spec, value)) throw new VitroError(`${where}: ${name} must be ${wanted(spec)}, got ${JSON.stringify(value)}`);
    out[name] = value as Knob;
  }
  return out as KnobValues<K>;
}
