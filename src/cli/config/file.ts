import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createJiti } from 'jiti';
import { parse, YAMLParseError } from 'yaml';
import { UsageError } from '../../lab/names.js';

export type ConfigRecord = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is ConfigRecord => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Runs a module of the user's: its default export is a record, or a function that returns one. */
async function fromModule(path: string): Promise<unknown> {
  const jiti = createJiti(import.meta.url);
  const exported: unknown = await jiti.import(pathToFileURL(resolve(path)).href, { default: true });
  return typeof exported === 'function' ? await (exported as () => unknown)() : exported;
}

/**
 * A configuration from a file: YAML or JSON, or a TypeScript or JavaScript module, which is run as the user's own code.
 *
 * @throws UsageError where the file cannot be read or holds no record
 */
export async function readConfigFile(path: string): Promise<ConfigRecord> {
  let value: unknown;
  if (/^\.[cm]?[jt]s$/.test(extname(path))) value = await fromModule(path);
  else {
    const text = await readFile(path, 'utf8').catch((error: Error) => {
      throw new UsageError(`--config ${path}: ${error.message}`);
    });
    try {
      value = parse(text);
    } catch (error) {
      if (error instanceof YAMLParseError) throw new UsageError(`--config ${path}: ${error.message}`);
      throw error;
    }
  }
  if (value === null || value === undefined) return {};
  if (isRecord(value)) return value;
  throw new UsageError(
    `--config ${path}: expected keys with values (or a function returning them), found ${Array.isArray(value) ? 'a list' : typeof value}`,
  );
}
