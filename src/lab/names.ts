import { distance } from 'fastest-levenshtein';
import { VitroError } from '../tensor/errors.js';

/** A name, key or value of the user's that Vitro does not know. The command line answers it with exit code 2. */
export class UsageError extends VitroError {
  override name = 'UsageError';
}

/** The known name nearest to a mistyped one, or undefined where none is near (more than a third of its letters, at least two, differ). */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const ranked = known.map((k) => ({ k, d: distance(name.toLowerCase(), k.toLowerCase()) })).sort((a, b) => a.d - b.d);
  const best = ranked[0];
  return best && best.d <= Math.max(2, Math.floor(best.k.length / 3)) ? best.k : undefined;
}

/** Looks a name up, or throws a UsageError that suggests the nearest one and lists the rest. */
export function lookUp<T>(kind: string, name: string, table: Readonly<Record<string, T>>): T {
  if (Object.hasOwn(table, name)) return table[name] as T;
  const known = Object.keys(table).sort();
  const near = nearestName(name, known);
  throw new UsageError(`unknown ${kind} "${name}"${near ? `; did you mean "${near}"?` : ''} Known: ${known.join(', ')}.`);
}
