import { VitroError } from '../../tensor/errors.js';

/** A checkpoint that cannot be read or written: damaged, lying about itself, of an unknown format, or stopped by the file system. */
export class CheckpointError extends VitroError {
  override name = 'CheckpointError';
  constructor(
    readonly path: string,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`${path}: ${detail}`, options);
  }
}

const advice: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; check the path',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  EISDIR: 'this is a folder, a file was expected',
  ENOTDIR: 'a part of the path is a file, not a folder',
  ENOSPC: 'the disk is full; free some space or choose another folder. What stood there before is unchanged',
  EDQUOT: 'the disk quota is used up; free some space or choose another folder. What stood there before is unchanged',
  EFBIG: 'the file would be larger than the file system allows; write shards (max_shard_bytes)',
  EMFILE: 'too many open files; close checkpoints that are no longer needed',
};

/** Turns an error of the file system into a CheckpointError that says what to do; other errors pass unchanged. */
export function fileSystemError(path: string, doing: string, error: unknown): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (error instanceof VitroError || !code?.startsWith('E')) return error;
  return new CheckpointError(path, `${doing} failed (${code}): ${advice[code] ?? (error as Error).message}`, { cause: error });
}
