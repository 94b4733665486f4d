import { type Command, Option } from 'commander';
import type { z } from 'zod';
import { checkConfig, kindsOf } from '../../lab/config/check.js';
import { nearestName, UsageError } from '../../lab/names.js';
import { type ConfigRecord, readConfigFile } from './file.js';
import { applySets, merged, typedValue } from './merge.js';

/** What a command's configuration takes beside its schema. */
export interface ConfigNames {
  /** other names of keys */
  readonly aliases?: Readonly<Record<string, string>>;
  /** what a plain value of a key means once keys are set inside of it, e.g. attention: quest -> {method: quest} */
  readonly shorthands?: Readonly<Record<string, string>>;
  /** the key that a first part of a --set path stands for, where it is no key itself, e.g. muon -> optimizer */
  readonly setKey?: (name: string) => string | undefined;
  /** keys that the help leaves out */
  readonly hidden?: (key: string) => boolean;
}

/** The default of a key, as text for its help. */
function shownDefault(schema: z.core.$ZodType): string {
  const def = schema._zod.def as { readonly type: string; readonly defaultValue?: unknown };
  return def.type === 'default' ? ` (default ${JSON.stringify(def.defaultValue)})` : '';
}

type Shape = Readonly<Record<string, z.core.$ZodType & { readonly description?: string }>>;

/** Gives a command a flag for every key of a configuration, and --config and --set. */
export function addConfigFlags(command: Command, schema: z.ZodObject, { aliases = {}, hidden }: ConfigNames = {}): Command {
  command.option('--config <file>', 'configuration as YAML, JSON or a TypeScript module (which is run); flags and --set override it');
  for (const [key, field] of Object.entries(schema.shape as Shape)) {
    const kinds = kindsOf(field);
    const text = kinds.every((kind) => kind === 'string');
    const option = new Option(
      kinds.includes('boolean') ? `--${key} [value]` : `--${key} <value>`,
      `${field.description ?? ''}${shownDefault(field)}`.trim(),
    );
    command.addOption(option.argParser((value: string) => (text ? value : typedValue(value))).hideHelp(hidden?.(key) ?? false));
  }
  for (const alias of Object.keys(aliases)) command.addOption(new Option(`--${alias} <value>`).argParser(typedValue).hideHelp());
  const help = 'any key by its dotted path, e.g. optimizer.momentum=0.9; may be given several times';
  return command.addOption(
    new Option('--set <key=value>', help).argParser((text: string, all?: readonly string[]) => [...(all ?? []), text]),
  );
}

/**
 * For commands that allow unknown options and excess arguments: refuses both, with the nearest of all keys, also of those that the help leaves out.
 *
 * @throws UsageError
 */
export function refuseUnknown(command: Command, schema: z.ZodObject, { aliases = {} }: ConfigNames = {}): void {
  const [first] = command.args;
  if (first === undefined) return;
  if (!first.startsWith('-')) throw new UsageError(`"${first}" is no option; options are written --KEY VALUE (--help lists them)`);
  const name = first.replace(/^-+/, '').replace(/=.*$/s, '');
  const near = nearestName(name, [...Object.keys(schema.shape), ...Object.keys(aliases), 'config', 'set', 'json', 'help']);
  throw new UsageError(`unknown option '--${name}'${near ? `; did you mean --${near}?` : ''} (--help lists them)`);
}

/** The record with other names of keys replaced. */
function renamed(config: ConfigRecord, aliases: Readonly<Record<string, string>>): ConfigRecord {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      const name = Object.hasOwn(aliases, key) ? (aliases[key] as string) : key;
      if (name !== key && Object.hasOwn(config, name))
        throw new UsageError(`${key} and ${name} are two names of one key; give one of them`);
      return [name, value];
    }),
  );
}

/**
 * The configuration of a call: defaults of the schema, then the file, then flags, then --set.
 *
 * @throws UsageError for unknown keys and wrong values
 */
export async function configOf<S extends z.ZodObject>(schema: S, flags: ConfigRecord, names: ConfigNames = {}): Promise<z.output<S>> {
  const { aliases = {}, shorthands = {}, setKey } = names;
  const { config: file, set = [], ...rest } = flags as ConfigRecord & { readonly config?: string; readonly set?: readonly string[] };
  const keys = [...Object.keys(schema.shape), ...Object.keys(aliases)];
  const given = Object.fromEntries(Object.entries(rest).filter(([key]) => keys.includes(key)));
  const fromFile = file === undefined ? {} : await readConfigFile(file);
  const sets = set.map((text) =>
    text.replace(/^[^.=]+/, (head) =>
      Object.hasOwn(aliases, head) ? (aliases[head] as string) : ((keys.includes(head) ? undefined : setKey?.(head)) ?? head),
    ),
  );
  const config = applySets(merged(renamed(fromFile, aliases), renamed(given, aliases)), sets, shorthands);
  try {
    return checkConfig(schema, merged(config));
  } catch (error) {
    if (error instanceof UsageError && file !== undefined)
      throw new UsageError(`${error.message}\n(keys come from ${file}, flags and --set)`);
    throw error;
  }
}
