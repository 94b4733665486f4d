import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { DataError } from './dataset/dataset.js';
import { findFiles } from './dataset/files.js';
import { type OpenDatasetOptions, openDataset } from './dataset/open.js';
import { nearestName } from './names.js';
import { corpusOf, loadTinyShakespeare, splitText, type TextCorpus } from './textCorpus.js';

export interface CorpusOptions {
  /** bytes: the file. wikitext: a folder with train, valid and test files (txt, .gz); without it, the hub is asked */
  readonly path?: string;
  /** wikitext: which part trains (default train) and which validates (default validation) */
  readonly train_split?: string;
  readonly validation_split?: string;
  /** bytes: the share of the end that validates; default 0.1 */
  readonly validation_fraction?: number;
  /** wikitext from the hub: default wikitext-2-raw-v1 */
  readonly name?: string;
  readonly cache_dir?: string;
  readonly fetch?: typeof fetch;
  readonly env?: NodeJS.ProcessEnv;
}

async function fileBytes(path: string): Promise<Uint8Array> {
  try {
    const bytes = await readFile(path);
    return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
  } catch (error) {
    throw new DataError(`${path}: cannot be read (${(error as Error).message})`);
  }
}

/** Any file as bytes, .gz unpacked, split by position. */
async function bytesCorpus({ path, validation_fraction }: CorpusOptions): Promise<TextCorpus> {
  if (!path) throw new DataError('the corpus "bytes" needs the path of a file');
  const bytes = await fileBytes(path);
  if (bytes.length < 2) throw new DataError(`${path}: too short to be a corpus (${bytes.length} bytes)`);
  return splitText('bytes', bytes, validation_fraction);
}

/** The text of one split of WikiText: all files of the split in a folder, or the hub's lines joined (an empty row is the blank line ' \n'). */
async function wikitextSplit(split: string, options: CorpusOptions): Promise<Uint8Array> {
  const { path, name = 'wikitext-2-raw-v1', cache_dir, fetch, env } = options;
  if (path !== undefined) {
    const files = await findFiles(path, split);
    if (!files) throw new DataError(`${path}: no such folder`);
    return Buffer.concat(await Promise.all(files.map(fileBytes)));
  }
  const hub: OpenDatasetOptions = { path: 'hf://datasets/Salesforce/wikitext', name, split, columns: ['text'], cache_dir, fetch, env };
  const lines: string[] = [];
  for await (const { text } of (await openDataset(hub)).rows()) lines.push(text === '' ? ' \n' : String(text));
  return new TextEncoder().encode(lines.join(''));
}

/** WikiText (Merity et al. 2016, arXiv:1609.07843; CC BY-SA) with the splits that its authors made. */
async function wikitextCorpus(options: CorpusOptions): Promise<TextCorpus> {
  const { train_split = 'train', validation_split = 'validation' } = options;
  return corpusOf('wikitext', await wikitextSplit(train_split, options), await wikitextSplit(validation_split, options));
}

const loaders: Readonly<Record<string, (options: CorpusOptions) => Promise<TextCorpus>>> = {
  shakespeare: loadTinyShakespeare,
  wikitext: wikitextCorpus,
  bytes: bytesCorpus,
};

/** Ids that `loadCorpus` knows. */
export const corpusIds: readonly string[] = Object.keys(loaders);

/** A corpus of bytes by name: shakespeare (bundled), wikitext (a folder or the hub), bytes (any file). */
export async function loadCorpus(id: string, options: CorpusOptions = {}): Promise<TextCorpus> {
  const load = Object.hasOwn(loaders, id) ? loaders[id] : undefined;
  if (load) return load(options);
  const near = nearestName(id, corpusIds);
  throw new DataError(`unknown corpus "${id}"${near ? `; did you mean "${near}"?` : ''} Known: ${corpusIds.join(', ')}.`);
}
