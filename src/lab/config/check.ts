import type { z } from 'zod';
import { nearestName, UsageError } from '../names.js';

interface Inner {
  readonly type: string;
  readonly innerType?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly options?: readonly z.core.$ZodType[];
}

const inner = (schema: z.core.$ZodType): Inner => schema._zod.def as unknown as Inner;

/** The schema without what makes it optional or gives it a default. */
export function bare(schema: z.core.$ZodType): z.core.$ZodType {
  const { type, innerType } = inner(schema);
  return innerType && ['optional', 'default', 'nullable'].includes(type) ? bare(innerType) : schema;
}

/** Names of the kinds of values that a schema takes: string, number, boolean, ... */
export function kindsOf(schema: z.core.$ZodType): string[] {
  const { type, options } = inner(bare(schema));
  return options ? options.flatMap(kindsOf) : [type];
}

/** Keys of the record at a path of a schema. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const { shape, element } = inner(bare(schema));
  const [head, ...rest] = path;
  if (head === undefined) return Object.keys(shape ?? {});
  const next = element ?? shape?.[String(head)];
  return next ? keysAt(next, rest) : [];
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((v, key) => (typeof v === 'object' && v !== null ? (v as Record<PropertyKey, unknown>)[key] : undefined), value);

function sentence(schema: z.core.$ZodType, input: unknown, issue: z.core.$ZodIssue): string {
  const where = issue.path.map(String).join('.');
  if (issue.code !== 'unrecognized_keys')
    return `${where}: ${JSON.stringify(valueAt(input, issue.path))} is not allowed; it must be ${issue.message}`;
  const known = keysAt(schema, issue.path);
  return issue.keys
    .map((key) => {
      const near = nearestName(key, known);
      const hint = near ? `did you mean "${near}"?` : `known are ${known.join(', ')}`;
      return `unknown key "${where ? `${where}.` : ''}${key}"; ${hint}`;
    })
    .join('\n');
}

/**
 * A configuration with its defaults.
 *
 * @throws UsageError that names every unknown key with the nearest known one, and every wrong value with what is allowed
 */
export function checkConfig<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new UsageError(parsed.error.issues.map((issue) => sentence(schema, input, issue)).join('\n'));
}
