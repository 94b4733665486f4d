import { parse } from 'yaml';
import { UsageError } from '../../lab/names.js';
import type { ConfigRecord } from './file.js';

/** A value as users type it: YAML (numbers, true, lists, records), else the text itself. */
export function typedValue(text: string): unknown {
  try {
    return parse(text) as unknown;
  } catch {
    return text;
  }
}

function setPath(target: unknown, path: readonly string[], value: unknown, shorthand: string | undefined, whole: string): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return value;
  if (Array.isArray(target)) {
    const index = Number(head);
    if (!(Number.isInteger(index) && index >= 0 && index < target.length))
      throw new UsageError(`--set ${whole}: "${head}" is no place in a list of ${target.length}; count from 0`);
    return target.map((item, i) => (i === index ? setPath(item, rest, value, undefined, whole) : item));
  }
  const record = typeof target === 'object' && target !== null ? (target as ConfigRecord) : {};
  const plain = typeof target === 'string' && shorthand !== undefined ? { [shorthand]: target } : {};
  return { ...plain, ...record, [head]: setPath(record[head], rest, value, undefined, whole) };
}

/**
 * Applies `--set a.b=c` to a configuration, in order. Where a key inside of a plain value is set, the value goes under the key that `shorthands` names.
 *
 * @throws UsageError where one is not of that form
 */
export function applySets(config: ConfigRecord, sets: readonly string[], shorthands: Readonly<Record<string, string>> = {}): ConfigRecord {
  const all: Record<string, unknown> = { ...config };
  for (const set of sets) {
    const match = /^([^=]+)=(.*)$/s.exec(set);
    const path = match?.[1]?.trim().split('.') ?? [];
    const [key] = path;
    if (!match || key === undefined || path.includes(''))
      throw new UsageError(`--set ${set}: write it as KEY=VALUE or KEY.KEY=VALUE, e.g. optimizer.momentum=0.9`);
    all[key] = setPath(all[key], path.slice(1), typedValue(match[2] as string), shorthands[key], set);
  }
  return all;
}

/** One configuration over another; keys whose value is null are as if absent. */
export const merged = (...layers: readonly ConfigRecord[]): ConfigRecord =>
  Object.fromEntries(Object.entries(Object.assign({}, ...layers) as ConfigRecord).filter(([, v]) => v !== null && v !== undefined));
