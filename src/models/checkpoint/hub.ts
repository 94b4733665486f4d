import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, stat, unlink } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import type { ListFileEntry } from '@huggingface/hub';
import { VitroError } from '../../tensor/errors.js';
import { fileSystemError } from './checkpointError.js';
import { CachedRepo, checkedRelativePath, hubCacheFolder, isOffline } from './hubCache.js';

/** A model that cannot be fetched: no network, no such repository or revision, no permission, a damaged transfer. */
export class HubError extends VitroError {
  override name = 'HubError';
}

export interface DownloadProgress {
  readonly file: string;
  readonly loaded: number;
  readonly total: number;
  /** over all files of this call, those found in the cache included */
  readonly loadedOfAll: number;
  readonly totalOfAll: number;
}

export interface SnapshotOptions {
  /** branch, tag or commit (default main); a commit pins the files for good */
  readonly revision?: string;
  /** default: HF_HUB_CACHE, or HF_HOME/hub, or the user's cache folder */
  readonly cacheDir?: string;
  /** use only what is in the cache (default: HF_HUB_OFFLINE) */
  readonly offline?: boolean;
  /** patterns of files, * and ? as in a shell, * also across folders (default: configs, tokenizers and safetensors weights) */
  readonly include?: readonly string[];
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** access token for gated and private models (default: HF_TOKEN) */
  readonly token?: string;
  /** default: HF_ENDPOINT or https://huggingface.co */
  readonly hubUrl?: string;
  readonly fetch?: typeof globalThis.fetch;
}

/** Everything that a model needs to run, and nothing pickled. */
const defaultInclude = ['*.json', '*.safetensors', '*.txt', '*.model', '*.jinja'] as const;

/** Whether a path matches one of the patterns. */
export function matches(path: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const source = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replace(/\*+/g, '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${source}$`, 's').test(path);
  });
}

const isRepoId = (name: string): boolean => /^[\w-][\w.-]{0,95}(\/[\w-][\w.-]{0,95})?$/.test(name) && !/\.\.|--/.test(name);

interface Request {
  readonly repo: string;
  readonly revision: string;
  readonly access: { readonly hubUrl?: string; readonly fetch?: typeof globalThis.fetch; readonly accessToken?: string };
}

/** What went wrong with the hub, and what to do. */
function hubError({ repo, revision }: Request, error: unknown): unknown {
  if (error instanceof VitroError) return error;
  const at = `"${repo}" at revision "${revision}"`;
  const status = (error as { statusCode?: unknown }).statusCode;
  if (error instanceof Error && typeof status === 'number') {
    const advice: Readonly<Record<number, string>> = {
      401: 'it is private, gated or does not exist; set HF_TOKEN to a token that may read it',
      403: 'the token may not read it; accept its terms on the hub, or use another token',
      404: 'there is no such repository or revision; check the spelling',
      429: 'the hub asks to wait; try again later, or set HF_TOKEN',
    };
    return new HubError(`hub: ${at}: ${advice[status] ?? error.message} (status ${status})`, { cause: error });
  }
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOSPC' || code === 'EACCES' || code === 'EROFS' || code === 'EDQUOT') return fileSystemError(repo, 'downloading', error);
  const reason = error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error);
  return new HubError(
    `hub: ${at} could not be downloaded (${reason}); check the network, or use what is in the cache with offline: true or HF_HUB_OFFLINE=1`,
    { cause: error },
  );
}

/** The hash that names a file's content, and how to compute it: SHA-256 of large files, git's blob id of others. */
function identity(entry: ListFileEntry): { hash: string; digest: Hash } {
  if (entry.lfs) return { hash: entry.lfs.oid, digest: createHash('sha256') };
  if (!entry.oid) throw new HubError(`hub: the server gave no hash of "${entry.path}"`);
  return { hash: entry.oid, digest: createHash('sha1').update(`blob ${entry.size}\0`) };
}

/** Downloads one file into the blobs of the cache, checks its hash, and only then gives it its name. */
async function fetchBlob(
  request: Request,
  cached: CachedRepo,
  commit: string,
  entry: ListFileEntry,
  onBytes: (loaded: number) => void,
): Promise<string> {
  const { hash, digest } = identity(entry);
  const blob = await cached.blob(hash);
  if (blob.present) return blob.path;
  try {
    const { downloadFile } = await import('@huggingface/hub');
    const content = await downloadFile({
      repo: { type: 'model', name: request.repo },
      path: entry.path,
      revision: commit,
      ...request.access,
    });
    if (!content) throw new HubError(`hub: "${request.repo}" lists "${entry.path}" but does not give it`);
    let loaded = 0;
    const body = Readable.fromWeb(content.stream() as ReadableStream<Uint8Array>);
    const watch = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        loaded += chunk.byteLength;
        digest.update(chunk);
        onBytes(loaded);
        yield chunk;
      }
    };
    await pipeline(body, watch, createWriteStream(blob.temporary, { flags: 'wx', flush: true }));
    const got = digest.digest('hex');
    if (loaded !== entry.size || got !== hash)
      throw new HubError(
        `hub: "${entry.path}" of "${request.repo}" arrived damaged (${loaded} of ${entry.size} bytes, hash ${got} instead of ${hash}); try again`,
      );
    await rename(blob.temporary, blob.path);
    return blob.path;
  } catch (error) {
    await unlink(blob.temporary).catch(() => undefined);
    throw error;
  }
}

/** The folder of a snapshot that is in the cache, or an error that names what is missing. */
async function offlineSnapshot(cached: CachedRepo, { repo, revision }: Request, include: readonly string[]): Promise<string> {
  const commit = await cached.commitOf(revision);
  if (!commit)
    throw new HubError(
      `hub: offline, and "${repo}" at revision "${revision}" is not in the cache (${cached.folder}); download it once with a network, or give the path of a folder`,
    );
  const present = await cached.files(commit);
  const missing = include.filter((pattern) => !/[*?]/.test(pattern) && !present.includes(pattern));
  if (missing.length > 0)
    throw new HubError(
      `hub: offline, and ${missing.map((m) => `"${m}"`).join(', ')} of "${repo}" at ${commit} is not in the cache (${cached.folder})`,
    );
  return cached.snapshot(commit);
}

async function onlineSnapshot(
  cached: CachedRepo,
  request: Request,
  include: readonly string[],
  onProgress: SnapshotOptions['onProgress'],
): Promise<string> {
  const { repo, revision, access } = request;
  // loaded when needed: most uses of this library never go to the network
  const { listFiles, modelInfo } = await import('@huggingface/hub');
  const { sha: commit } = await modelInfo({ name: repo, revision, additionalFields: ['sha'], ...access });
  if (!/^[0-9a-f]{40}$/.test(commit))
    throw new HubError(`hub: the server names ${JSON.stringify(commit)} as the commit of "${repo}", which is none`);
  const entries: ListFileEntry[] = [];
  for await (const entry of listFiles({ repo: { type: 'model', name: repo }, revision: commit, recursive: true, ...access }))
    if (entry.type === 'file' && matches(entry.path, include)) {
      checkedRelativePath(entry.path, 'the file');
      entries.push(entry);
    }
  if (entries.length === 0) throw new HubError(`hub: "${repo}" at revision "${revision}" has no file that matches ${include.join(', ')}`);
  const totalOfAll = entries.reduce((sum, e) => sum + e.size, 0);
  let done = 0;
  for (const entry of entries) {
    const report = (loaded: number): void =>
      onProgress?.({ file: entry.path, loaded, total: entry.size, loadedOfAll: done + loaded, totalOfAll });
    if (!(await cached.has(commit, entry.path)))
      await cached.link(commit, entry.path, await fetchBlob(request, cached, commit, entry, report));
    report(entry.size);
    done += entry.size;
  }
  // last, so that a name never stands for a snapshot that was interrupted
  await cached.pin(revision, commit);
  return cached.snapshot(commit);
}

/**
 * Downloads the files of a model from the Hugging Face hub into the cache that huggingface_hub shares, and returns the folder of the
 * snapshot. Files that are in the cache are not downloaded again; every file appears complete and with its hash checked, or not at all.
 */
export async function downloadSnapshot(repo: string, options: SnapshotOptions = {}): Promise<string> {
  if (!isRepoId(repo)) throw new HubError(`hub: ${JSON.stringify(repo)} is no repository id; they look like "organisation/model"`);
  const revision = checkedRelativePath(options.revision ?? 'main', 'the revision');
  const include = options.include ?? defaultInclude;
  const request: Request = {
    repo,
    revision,
    access: { hubUrl: options.hubUrl ?? process.env.HF_ENDPOINT, fetch: options.fetch, accessToken: options.token ?? process.env.HF_TOKEN },
  };
  const cached = new CachedRepo(options.cacheDir ?? hubCacheFolder(), repo);
  if (options.offline ?? isOffline()) return offlineSnapshot(cached, request, include);
  try {
    return await onlineSnapshot(cached, request, include, options.onProgress);
  } catch (error) {
    throw hubError(request, error);
  }
}

/** The folder or file of a model: `nameOrPath` itself where it exists, else the snapshot of the hub's model of that name. */
export async function resolveModelFolder(nameOrPath: string, options: SnapshotOptions = {}): Promise<string> {
  if (
    await stat(nameOrPath).then(
      () => true,
      () => false,
    )
  )
    return nameOrPath;
  if (!isRepoId(nameOrPath))
    throw new HubError(`"${nameOrPath}" is neither a file or folder here nor the id of a model on the hub ("organisation/model")`);
  return downloadSnapshot(nameOrPath, options);
}
