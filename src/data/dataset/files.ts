import { readdir, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { DataError, type DataFormat } from './dataset.js';
import { withDuckDB } from './parquet.js';

const formats: Readonly<Record<string, DataFormat>> = {
  txt: 'txt',
  text: 'txt',
  md: 'txt',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  csv: 'csv',
  tsv: 'tsv',
  parquet: 'parquet',
};

const splitNames: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};

/** The format that a file's name states, a final .gz aside; undefined where it states none. */
export function formatOf(path: string): DataFormat | undefined {
  const extension = /\.([^./\\]+)$/.exec(path.replace(/\.gz$/, ''))?.[1];
  return extension ? formats[extension.toLowerCase()] : undefined;
}

const isGlob = (path: string): boolean => /[*?[]/.test(path);

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch {
    return undefined;
  }
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((e) => !e.isDirectory())
    .map((e) => join(e.parentPath, e.name))
    .filter(
      (path) =>
        !relative(folder, path)
          .split(/[\\/]/)
          .some((part) => part.startsWith('.')),
    )
    .filter((path) => formatOf(path) !== undefined && !/\.md(\.gz)?$/i.test(path));
}

const globFiles = (pattern: string): Promise<string[]> =>
  withDuckDB(async (c) => (await c.runAndReadAll('select file from glob($pattern)', { pattern })).getRowsJS().map((row) => String(row[0])));

/** A dataset's files with the path under which each was found, which is what split names are looked for in. */
interface Found {
  readonly path: string;
  readonly name: string;
}

async function expand(path: string): Promise<Found[] | undefined> {
  const kind = await kindOf(path);
  if (kind === 'file') return [{ path, name: basename(path) }];
  if (kind === 'folder') return (await filesUnder(path)).map((file) => ({ path: file, name: relative(path, file) }));
  return isGlob(path) ? (await globFiles(path)).map((file) => ({ path: file, name: basename(file) })) : undefined;
}

const byPath = (a: Found, b: Found): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

/** Whether a word of the file's path is one of the names of the split: train-00000-of-00002.parquet, data/valid.txt. */
const inSplit = (name: string, aliases: readonly string[]): boolean =>
  name
    .toLowerCase()
    .split(/[^a-z]+/)
    .some((word) => aliases.includes(word));

function selectSplit(found: readonly Found[], split: string, where: string): Found[] {
  const aliases = splitNames[split] ?? Object.values(splitNames).find((names) => names.includes(split)) ?? [split.toLowerCase()];
  const chosen = found.filter((f) => inSplit(f.name, aliases));
  if (chosen.length) return chosen;
  const known = Object.entries(splitNames).filter(([, names]) => found.some((f) => inSplit(f.name, names)));
  // files that name no split at all are training data
  if (!known.length && aliases.includes('train')) return [...found];
  const has = known.length ? `it has the splits ${known.map(([name]) => name).join(', ')}` : 'its file names state no split';
  throw new DataError(`${where}: no split "${split}"; ${has} (files: ${found.map((f) => f.name).join(', ')})`);
}

/**
 * The files that a path, folder, glob or list of them stands for, in a fixed order: folders and globs by path, lists as given.
 * Undefined where a single path names nothing on this machine (it may be a dataset of the hub).
 */
export async function findFiles(path: string | readonly string[], split?: string): Promise<string[] | undefined> {
  const paths = typeof path === 'string' ? [path] : path;
  const where = paths.join(', ');
  if (!paths.length) throw new DataError('openDataset: the list of paths is empty');
  const found: Found[] = [];
  for (const p of paths) {
    const files = await expand(p);
    if (!files) {
      if (paths.length === 1) return undefined;
      throw new DataError(`${p}: no such file or folder`);
    }
    if (!files.length)
      throw new DataError(
        `${p}: ${isGlob(p) ? 'no file matches' : 'the folder holds no file that is named as a dataset (txt, jsonl, json, csv, tsv, parquet; .gz)'}`,
      );
    found.push(...files.sort(byPath));
  }
  return (split ? selectSplit(found, split, where) : found).map((f) => f.path);
}
