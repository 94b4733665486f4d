import { open, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UsageError } from './names.js';

const lockName = 'run.lock';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

interface Holder {
  readonly pid: number;
  readonly host: string;
}

async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder;
  } catch {
    // gone meanwhile, or half-written by a process that was killed
    return undefined;
  }
}

/** The process that writes a run folder now; undefined where none does, or where it died without giving the folder back. */
export async function writerOf(folder: string): Promise<Holder | undefined> {
  const holder = await holderOf(join(folder, lockName));
  return holder && (holder.host !== hostname() || isAlive(holder.pid)) ? holder : undefined;
}

/**
 * Takes a run folder for this process, so that two processes never write the same files; the returned function gives it back. The lock of a process
 * that no longer lives on this machine is taken over.
 *
 * @throws UsageError that names the process which holds it
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, lockName);
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname() }));
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = await writerOf(folder);
    if (holder)
      throw new UsageError(
        `${folder} is being written by process ${holder.pid} on ${holder.host}; wait for it, give another folder, or remove ${lockName} if that process is gone`,
      );
    await rm(path, { force: true });
  }
  throw new UsageError(`${folder} is being taken by another process; try again`);
}
