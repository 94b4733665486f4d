import { open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileSystemError } from './checkpointError.js';

/** What an AtomicFile needs of a file that is open for writing; node's FileHandle fits. */
export interface WritableHandle {
  write(data: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface WriteOptions {
  /** how files are opened for writing (default: node's `open`); for tests and other file systems */
  readonly openFile?: (path: string) => Promise<WritableHandle>;
}

const bufferBytes = 1 << 20;
let serial = 0;

/** Makes a rename durable; platforms that cannot sync a folder (Windows) do without. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/**
 * A file that appears whole or not at all: bytes go to a temporary file beside it, `finish` makes them durable, `publish` renames it over
 * the old one, `discard` removes it. Small writes are gathered.
 */
export class AtomicFile {
  readonly #buffer = new Uint8Array(bufferBytes);
  #held = 0;
  #written = 0;
  #open = true;

  private constructor(
    readonly path: string,
    readonly temporary: string,
    readonly handle: WritableHandle,
  ) {}

  static async create(path: string, options: WriteOptions = {}): Promise<AtomicFile> {
    const temporary = join(dirname(path), `.${basename(path)}.${process.pid}-${serial++}.tmp`);
    try {
      return new AtomicFile(path, temporary, await (options.openFile ?? ((p) => open(p, 'wx')))(temporary));
    } catch (error) {
      throw fileSystemError(path, 'creating', error);
    }
  }

  /** Bytes written so far. */
  get position(): number {
    return this.#written + this.#held;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#held + bytes.byteLength > bufferBytes) await this.#flush();
    if (bytes.byteLength >= bufferBytes) await this.#put(bytes);
    else {
      this.#buffer.set(bytes, this.#held);
      this.#held += bytes.byteLength;
    }
  }

  /** Zero bytes up to a multiple of `alignment`. */
  async align(alignment: number): Promise<void> {
    await this.write(new Uint8Array((alignment - (this.position % alignment)) % alignment));
  }

  async #flush(): Promise<void> {
    const n = this.#held;
    this.#held = 0;
    if (n > 0) await this.#put(this.#buffer.subarray(0, n));
  }

  async #put(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength; ) {
        const { bytesWritten } = await this.handle.write(bytes, done, bytes.byteLength - done, this.#written);
        done += bytesWritten;
        this.#written += bytesWritten;
      }
    } catch (error) {
      throw fileSystemError(this.path, 'writing', error);
    }
  }

  /** Writes what is held, waits until the disk has it, and closes the temporary file. */
  async finish(): Promise<void> {
    await this.#flush();
    try {
      await this.handle.sync();
      this.#open = false;
      await this.handle.close();
    } catch (error) {
      throw fileSystemError(this.path, 'writing', error);
    }
  }

  /** Renames the finished temporary file to its name. */
  async publish(): Promise<void> {
    try {
      await rename(this.temporary, this.path);
    } catch (error) {
      throw fileSystemError(this.path, 'renaming the finished file', error);
    }
    await syncFolder(dirname(this.path));
  }

  async discard(): Promise<void> {
    if (this.#open) await this.handle.close().catch(() => undefined);
    this.#open = false;
    await unlink(this.temporary).catch(() => undefined);
  }
}

/** Writes several files and publishes them, in order, only after all of them are complete; on any error none is. */
export async function writeFiles(
  jobs: readonly { readonly path: string; readonly produce: (file: AtomicFile) => Promise<void> }[],
  options: WriteOptions = {},
): Promise<void> {
  const files: AtomicFile[] = [];
  try {
    for (const { path, produce } of jobs) {
      const file = await AtomicFile.create(path, options);
      files.push(file);
      await produce(file);
      await file.finish();
    }
    for (const file of files) await file.publish();
  } catch (error) {
    for (const file of files) await file.discard();
    throw error;
  }
}
