import { access, copyFile, lstat, mkdir, readdir, readFile, readlink, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { VitroError } from '../../tensor/errors.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** The folder in which Hugging Face's libraries keep what they download: HF_HUB_CACHE, or hub/ in HF_HOME, or in the user's cache folder. */
export function hubCacheFolder(env: Environment = process.env): string {
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
  return env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE ?? join(home, 'hub');
}

/** Whether HF_HUB_OFFLINE forbids the network. */
export const isOffline = (env: Environment = process.env): boolean => /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? '');

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Refuses names that would leave their folder on any platform. */
export function checkedRelativePath(path: string, what: string): string {
  const parts = path.split('/');
  const bad = parts.some((p) => p === '' || p === '.' || p === '..' || p.length > 255) || /[\\:\0]/.test(path);
  if (bad) throw new VitroError(`${what} ${JSON.stringify(path)} is no path inside a folder; it is not used`);
  return path;
}

let serial = 0;

/** A name beside `path` that no other writer uses. */
const temporaryName = (path: string): string => `${path}.${process.pid}-${serial++}.incomplete`;

/**
 * One model in the cache, laid out as huggingface_hub does: blobs/ holds contents by their hash, snapshots/COMMIT/ the files of a commit as
 * links to them, refs/NAME the commit that a branch or tag stood for. The two libraries share one cache.
 */
export class CachedRepo {
  readonly folder: string;

  constructor(cacheDir: string, repo: string) {
    this.folder = join(cacheDir, `models--${repo.replaceAll('/', '--')}`);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that a revision stood for when it was last downloaded. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (/^[0-9a-f]{40}$/.test(revision)) return (await exists(this.snapshot(revision))) ? revision : undefined;
    const text = await readFile(join(this.folder, 'refs', checkedRelativePath(revision, 'the revision')), 'utf8').catch(() => undefined);
    const commit = text?.trim();
    return commit && /^[0-9a-f]{40}$/.test(commit) && (await exists(this.snapshot(commit))) ? commit : undefined;
  }

  async pin(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    const path = join(this.folder, 'refs', checkedRelativePath(revision, 'the revision'));
    await mkdir(dirname(path), { recursive: true });
    const temporary = temporaryName(path);
    await writeFile(temporary, commit);
    await rename(temporary, path);
  }

  /** Files of a snapshot whose contents are there. */
  async files(commit: string): Promise<string[]> {
    const root = this.snapshot(commit);
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    const paths = entries.filter((e) => !e.isDirectory()).map((e) => join(e.parentPath, e.name));
    const found: string[] = [];
    for (const path of paths)
      if (
        await stat(path).then(
          (s) => s.isFile(),
          () => false,
        )
      )
        found.push(relative(root, path).replaceAll('\\', '/'));
    return found.sort();
  }

  has(commit: string, file: string): Promise<boolean> {
    return exists(join(this.snapshot(commit), file));
  }

  /** Where a blob lies, and where to write it first. */
  async blob(hash: string): Promise<{ path: string; temporary: string; present: boolean }> {
    const path = join(this.folder, 'blobs', checkedRelativePath(hash, 'the hash'));
    await mkdir(dirname(path), { recursive: true });
    return { path, temporary: temporaryName(path), present: await exists(path) };
  }

  /** Makes a file of a snapshot out of a blob: a relative link, or a copy where links are not allowed. */
  async link(commit: string, file: string, blobPath: string): Promise<void> {
    const path = join(this.snapshot(commit), checkedRelativePath(file, 'the file'));
    await mkdir(dirname(path), { recursive: true });
    const target = relative(dirname(path), blobPath);
    const old = await lstat(path).catch(() => undefined);
    if (old?.isSymbolicLink() && (await readlink(path)) === target) return;
    const temporary = temporaryName(path);
    await symlink(target, temporary).catch(() => copyFile(blobPath, temporary));
    await rename(temporary, path).catch(async (error: unknown) => {
      await unlink(temporary).catch(() => undefined);
      throw error;
    });
  }
}
