import { nearestName } from '../data/names.js';
import { VitroError } from '../tensor/errors.js';

export { nearestName };

/** A name, key or value of the user's that Vitro does not know. The command line answers it with exit code 2. */
export class UsageError extends VitroError {
  override name = 'UsageError';
}

/** Looks a name up, or throws a UsageError that suggests the nearest one and lists the rest. */
export function lookUp<T>(kind: string, name: string, table: Readonly<Record<string, T>>): T {
  if (Object.hasOwn(table, name)) return table[name] as T;
  const known = Object.keys(table).sort();
  const near = nearestName(name, known);
  throw new UsageError(`unknown ${kind} "${name}"${near ? `; did you mean "${near}"?` : ''} Known: ${known.join(', ')}.`);
}
