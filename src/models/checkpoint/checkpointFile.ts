import { type FileHandle, open } from 'node:fs/promises';
import { CheckpointError, fileSystemError } from './checkpointError.js';

/** Elements that one step of a streamed conversion holds; with 8-byte elements a scratch buffer is 4 MB. */
export const chunkElements = 1 << 19;
const scratchBytes = chunkElements * 8;
const keptScratches = 3;

/** A file opened for positioned reads, with scratch buffers that its reads share. */
export class CheckpointFile {
  readonly #scratch: ArrayBuffer[] = [];

  private constructor(
    readonly path: string,
    readonly size: number,
    readonly handle: FileHandle,
  ) {}

  static async open(path: string): Promise<CheckpointFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const stat = await handle.stat();
      if (!stat.isFile())
        throw new CheckpointError(path, `is ${stat.isDirectory() ? 'a folder' : 'no regular file'}; give the path of a file`);
      return new CheckpointFile(path, stat.size, handle);
    } catch (error) {
      await handle?.close();
      throw fileSystemError(path, 'opening', error);
    }
  }

  /** Fills `target` from byte `position` on; throws where the file ends before. */
  async read(target: Uint8Array, position: number): Promise<void> {
    let done = 0;
    try {
      while (done < target.byteLength) {
        const { bytesRead } = await this.handle.read(target, done, Math.min(target.byteLength - done, 1 << 26), position + done);
        if (bytesRead === 0)
          throw new CheckpointError(
            this.path,
            `truncated: ${target.byteLength} bytes were expected from byte ${position} on, the file ends after ${done} of them; download or write it again`,
          );
        done += bytesRead;
      }
    } catch (error) {
      throw fileSystemError(this.path, 'reading', error);
    }
  }

  /** The bytes [position, position + length) in fresh memory; `length` must have been checked against the file's size. */
  async bytes(position: number, length: number): Promise<Uint8Array> {
    const out = new Uint8Array(length);
    await this.read(out, position);
    return out;
  }

  /** Lends a scratch buffer of 8 * chunkElements bytes; give it back with `release`. */
  borrow(): ArrayBuffer {
    return this.#scratch.pop() ?? new ArrayBuffer(scratchBytes);
  }

  release(buffer: ArrayBuffer): void {
    if (this.#scratch.length < keptScratches) this.#scratch.push(buffer);
  }

  async close(): Promise<void> {
    this.#scratch.length = 0;
    await this.handle.close();
  }
}
