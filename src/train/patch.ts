import type { Method, Settings } from '../contracts/index.js';
import { VitroError } from '../tensor/errors.js';
import type { Chosen } from './step.js';

/** A method that replaces parts of the one it is applied to. Parts that it does not have stay as they are. */
export interface PatchMethod extends Method {
  /** parts that build on the part beneath instead of replacing it: they call `inner` */
  readonly wraps?: readonly string[];
}

/** One implementation of a part, with the settings of the method that it comes from. */
export interface Layer<M> {
  readonly method: M;
  readonly settings: Settings;
}

/** Methods put together: for every part its implementation, below it what it wraps. */
export interface Patched<M> {
  /** ids joined by + */
  readonly id: string;
  /** the root first, then every method that takes part */
  readonly methods: readonly Layer<M>[];
  /** innermost first */
  readonly parts: Readonly<Record<string, readonly Layer<M>[]>>;
}

interface Family<M> {
  readonly methods: Readonly<Record<string, M>>;
  readonly parts: readonly string[];
  readonly root: string;
}

/** A method with its ancestors, oldest first, without the root. */
function lineage<M extends PatchMethod>({ methods, root }: Family<M>, method: M): M[] {
  const line: M[] = [];
  for (let m: M | undefined = method; m && m.id !== root; m = m.parent === undefined ? undefined : methods[m.parent]) {
    if (line.includes(m)) throw new VitroError(`${method.id}: its parents go in a circle`);
    line.unshift(m);
  }
  return line;
}

/**
 * Settings of a method that takes part: what the chosen methods that descend from it (from the root: all) say of its own settings.
 * @throws VitroError where they disagree
 */
function inherited<M extends PatchMethod>(of: M, root: M, family: Family<M>, chosen: readonly Chosen<M>[]): Settings {
  const settings: Record<string, Settings[string]> = { ...of.defaults };
  const from: Record<string, string> = {};
  for (const { method, settings: given } of chosen) {
    if (of !== root && !lineage(family, method).includes(of)) continue;
    for (const [name, value] of Object.entries(given)) {
      if (!Object.hasOwn(of.defaults, name)) continue;
      const other = from[name];
      if (other !== undefined && JSON.stringify(settings[name]) !== JSON.stringify(value))
        throw new VitroError(
          `${other} and ${method.id} both set ${name} of ${of.id}, to ${String(settings[name])} and ${String(value)}; give both the same`,
        );
      settings[name] = value;
      from[name] = method.id;
    }
  }
  return settings;
}

const has = (method: object, part: string): boolean => (method as Record<string, unknown>)[part] !== undefined;

/**
 * Applies methods in order to the root of their slot. A method brings what it inherits from its parents.
 *
 * @throws VitroError where two methods that are not of one family replace the same part
 */
export function applyPatches<M extends PatchMethod>(family: Family<M>, chosen: readonly Chosen<M>[]): Patched<M> {
  const root = family.methods[family.root] as M;
  const layers: Layer<M>[] = [{ method: root, settings: inherited(root, root, family, chosen) }];
  const parts: Record<string, Layer<M>[]> = Object.fromEntries(
    family.parts.map((part) => [part, has(root, part) ? [layers[0] as Layer<M>] : []]),
  );
  for (const { method, settings } of chosen) {
    const line = lineage(family, method);
    for (const own of line) {
      if (layers.some((l) => l.method.id === own.id)) continue;
      const layer = { method: own, settings: { ...inherited(own, root, family, chosen), ...(own === method ? settings : {}) } };
      layers.push(layer);
      for (const part of family.parts.filter((p) => has(own, p))) {
        const beneath = parts[part] as Layer<M>[];
        if (own.wraps?.includes(part)) {
          beneath.push(layer);
          continue;
        }
        const other = beneath.find((l) => l.method.id !== root.id && !line.includes(l.method));
        if (other)
          throw new VitroError(
            other.method.wraps?.includes(part)
              ? `${method.id} would undo what ${other.method.id} builds on the part ${part}; name ${method.id} before it`
              : `${other.method.id} and ${method.id} clash: both replace the part ${part}; name one of them`,
          );
        parts[part] = [layer];
      }
    }
  }
  const names = chosen.map(({ method }) => method.id).filter((id) => id !== root.id || chosen.length === 1);
  return { id: names.join('+') || root.id, methods: layers, parts };
}

/** Distinct values that the methods state, e.g. what they need. */
export const stated = <M, T>({ methods }: Patched<M>, of: (method: M, settings: Settings) => readonly T[] | undefined): readonly T[] => [
  ...new Set(methods.flatMap(({ method, settings }) => of(method, settings) ?? [])),
];
