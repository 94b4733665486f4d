import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { datasetInfo, downloadFile, listFiles } from '@huggingface/hub';
import { z } from 'zod';
import { cacheDir } from '../cacheDir.js';
import { nearestName } from '../names.js';
import { DataError } from './dataset.js';

/** The branch on which the hub keeps every public dataset converted to parquet, as configuration/split/0000.parquet. */
const CONVERTED = 'refs/convert/parquet';

export interface HubOptions {
  /** owner/name (or a bare name for the hub's oldest datasets) */
  readonly id: string;
  /** the dataset's configuration; may be left out where there is one only, or one called default */
  readonly config?: string;
  readonly split?: string;
  /** commit of the conversion branch (40 hex digits), to read the same bytes for ever; default: its newest */
  readonly revision?: string;
  readonly fetch?: typeof fetch;
  readonly cache_dir?: string;
  readonly env?: NodeJS.ProcessEnv;
}

const listingSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  files: z.array(
    z.object({
      path: z.string().regex(/^[^/\\]+\/[^/\\]+\/[^/\\]+\.parquet$/),
      size: z.int().nonnegative(),
      sha256: z.string().optional(),
    }),
  ),
});
type Listing = z.infer<typeof listingSchema>;

const isOffline = (env: NodeJS.ProcessEnv): boolean => /^(1|true|yes|on)$/i.test(env.HF_HUB_OFFLINE ?? '');

async function readListing(path: string): Promise<Listing | undefined> {
  try {
    return listingSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined;
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}

function explain(id: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  const { statusCode, message } = error as { statusCode?: number; message: string };
  if (statusCode === 401 || statusCode === 403)
    return new DataError(
      `${id}: the hub refuses access (${statusCode}); accept the dataset's terms on its page and set HF_TOKEN, or check the name`,
    );
  if (statusCode === 404)
    return new DataError(
      `${id}: neither a file here nor a dataset that the hub has converted to parquet; check the name, or download its files and give their path`,
    );
  return new DataError(`${id}: the hub cannot be reached (${message}); give the path of local files, or try again online`);
}

/** One name out of those that exist; where none is asked for, a single one or the preferred one. */
function choose(id: string, what: string, asked: string | undefined, names: readonly string[], preferred: string): string {
  const list = names.join(', ');
  if (asked === undefined) {
    if (names.length === 1 || names.includes(preferred)) return names.includes(preferred) ? preferred : (names[0] as string);
    throw new DataError(`${id} has several ${what}s; name one of ${list}`);
  }
  if (names.includes(asked)) return asked;
  const near = nearestName(asked, names);
  throw new DataError(`${id} has no ${what} "${asked}"${near ? `; did you mean "${near}"?` : ''} Its ${what}s: ${list}.`);
}

/**
 * The local parquet files of a dataset of the Hugging Face hub, downloaded at first use and checked by size and SHA-256. With HF_HUB_OFFLINE=1
 * only what was downloaded before is read. HF_ENDPOINT and HF_TOKEN are honoured.
 */
export async function hubFiles(options: HubOptions): Promise<{ files: string[]; revision: string }> {
  const { id, config, split, revision, env = process.env } = options;
  if (!/^([\w.-]+\/)?[\w.-]+$/.test(id) || id.includes('..'))
    throw new DataError(`${id}: neither a file here nor the name of a dataset (owner/name)`);
  const home = join(options.cache_dir ?? cacheDir(env), 'datasets', id.replace('/', '--'));
  const listingPath = join(home, `${revision ?? 'latest'}.json`);
  const access = { hubUrl: env.HF_ENDPOINT || undefined, accessToken: env.HF_TOKEN || undefined, fetch: options.fetch };
  const repo = { type: 'dataset', name: id } as const;

  const fetchListing = async (): Promise<Listing> => {
    const sha = revision ?? (await datasetInfo({ name: id, revision: CONVERTED, additionalFields: ['sha'], ...access })).sha;
    const files: Listing['files'] = [];
    for await (const f of listFiles({ repo, revision: sha, recursive: true, ...access }))
      if (f.type === 'file' && f.path.endsWith('.parquet')) files.push({ path: f.path, size: f.size, sha256: f.lfs?.oid });
    const listing = listingSchema.safeParse({ sha, files });
    if (!listing.success || !files.length) throw new DataError(`${id}: the hub lists no parquet files for it`);
    await mkdir(home, { recursive: true });
    await replaceFile(listingPath, JSON.stringify(listing.data));
    return listing.data;
  };

  const download = async (listing: Listing, file: Listing['files'][number]): Promise<string> => {
    const target = join(home, listing.sha, file.path);
    const there = await stat(target).catch(() => undefined);
    if (there?.size === file.size) return target;
    if (isOffline(env)) throw new DataError(`${id}: ${file.path} is not in the cache, and HF_HUB_OFFLINE forbids to download it`);
    const blob = await downloadFile({ repo, revision: listing.sha, path: file.path, ...access });
    if (!blob) throw new DataError(`${id}: the hub has no file ${file.path}`);
    const temporary = `${target}.${randomUUID()}`;
    const hash = createHash('sha256');
    let size = 0;
    const measure = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        size += chunk.length;
        done(null, chunk);
      },
    });
    try {
      await mkdir(dirname(target), { recursive: true });
      await pipeline(Readable.fromWeb(blob.stream() as ReadableStream), measure, createWriteStream(temporary));
      if (size !== file.size || (file.sha256 && hash.digest('hex') !== file.sha256))
        throw new DataError(`${id}: ${file.path} arrived damaged (${size} of ${file.size} bytes); try again`);
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    return target;
  };

  try {
    let listing: Listing | undefined;
    if (isOffline(env) || revision) listing = await readListing(listingPath);
    if (!listing && isOffline(env))
      throw new DataError(`${id}: no such file here, and HF_HUB_OFFLINE forbids to ask the hub; unset it, or give the path of local files`);
    listing ??= await fetchListing();
    const parts = listing.files.map((file) => ({ file, where: file.path.split('/') as [string, string, string] }));
    const chosenConfig = choose(id, 'configuration', config, [...new Set(parts.map((p) => p.where[0]))].sort(), 'default');
    const ofConfig = parts.filter((p) => p.where[0] === chosenConfig);
    const chosenSplit = choose(id, 'split', split, [...new Set(ofConfig.map((p) => p.where[1]))].sort(), 'train');
    const files: string[] = [];
    for (const { file } of ofConfig.filter((p) => p.where[1] === chosenSplit).sort((a, b) => (a.file.path < b.file.path ? -1 : 1)))
      files.push(await download(listing, file));
    return { files, revision: listing.sha };
  } catch (error) {
    throw explain(id, error);
  }
}
