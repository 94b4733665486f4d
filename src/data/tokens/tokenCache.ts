import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tokenizer } from '../../contracts/index.js';
import { cacheDir } from '../cacheDir.js';
import { DataError, type Dataset } from '../dataset/dataset.js';
import { type EncodeOptions, encodeDocuments, tokensKey } from './encode.js';
import { type FileWriter, openTokenFolder, writeTokenFolder } from './tokenFiles.js';
import type { TokenStore } from './tokenStore.js';

export interface CacheTokensOptions extends EncodeOptions {
  /** default: tokens/ in Vitro's cache folder (VITRO_CACHE) */
  readonly cache_dir?: string;
  /** how files are created; tests make the disk full with it */
  readonly createFile?: (path: string) => Promise<FileWriter>;
}

const DAY_MS = 86_400_000;

/** The tokens under a key, or undefined where there are none or damaged ones, which are set aside and removed. */
async function existing(folder: string, key: string): Promise<TokenStore | undefined> {
  try {
    return await openTokenFolder(folder, key);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !(await stat(folder).catch(() => undefined))) return undefined;
    if (!(error instanceof DataError) && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const aside = `${folder}.damaged-${randomUUID()}`;
    await rename(folder, aside).catch(() => {});
    await rm(aside, { recursive: true, force: true });
    return undefined;
  }
}

/** Removes what builders of this key left behind that were killed more than a day ago. */
async function removeStale(root: string, key: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (!name.startsWith(`${key}.`)) continue;
    const changed = (await stat(join(root, name)).catch(() => undefined))?.mtimeMs;
    if (changed !== undefined && Date.now() - changed > DAY_MS) await rm(join(root, name), { recursive: true, force: true });
  }
}

/**
 * The tokens of a dataset's text column, from files on disk that are built at first use. They are keyed by the content of the dataset, the
 * tokenizer and the options, written beside their place and renamed into it when complete: of two processes that build the same key, the first
 * to finish wins and the other uses its files.
 */
export async function cacheTokens(dataset: Dataset, tokenizer: Tokenizer, options: CacheTokensOptions = {}): Promise<TokenStore> {
  const root = options.cache_dir ?? join(cacheDir(), 'tokens');
  const key = tokensKey(dataset, tokenizer, options);
  const folder = join(root, key);
  const found = await existing(folder, key);
  if (found) return found;

  const building = `${folder}.${randomUUID()}`;
  try {
    await mkdir(building, { recursive: true });
    await removeStale(root, key);
    const documents = encodeDocuments(dataset, tokenizer, options);
    await writeTokenFolder(building, documents, { key, vocab_size: tokenizer.vocab_size }, options.createFile);
    // fails where another process has put its folder there; that one is as good
    await rename(building, folder).catch(async (error: unknown) => {
      if (!(await stat(folder).catch(() => undefined))) throw error;
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC')
      throw new DataError(`${root}: the disk is full while tokens are cached; free space, or set VITRO_CACHE to a folder on another disk`);
    if (code) throw new DataError(`${root}: tokens cannot be cached (${message}); set VITRO_CACHE to a folder that can be written`);
    throw error;
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return openTokenFolder(folder, key);
}
