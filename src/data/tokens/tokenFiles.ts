import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError } from '../dataset/dataset.js';
import { checkDocument, checkRead, type DocumentEnds, documentBytes, documentStart, type TokenStore } from './tokenStore.js';

/**
 * A folder of tokens: tokens.bin (u16 or u32, little endian, document after document), documents.bin (f64 pairs: tokens and text bytes up to
 * the end of each document) and header.json, which is written last and carries the sizes and hashes.
 */
const TOKENS = 'tokens.bin';
const DOCUMENTS = 'documents.bin';
const HEADER = 'header.json';
const BUFFER_BYTES = 1 << 20;

const headerSchema = z.strictObject({
  format: z.literal('vitro-tokens'),
  version: z.literal(1),
  key: z.string(),
  dtype: z.enum(['u16', 'u32']),
  vocab_size: z.int().positive(),
  num_tokens: z.int().positive(),
  num_documents: z.int().positive(),
  num_bytes: z.int().nonnegative(),
  tokens_sha256: z.string(),
  documents_sha256: z.string(),
});
type Header = z.infer<typeof headerSchema>;

/** A file that is being written. */
export interface FileWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** Writes through to the disk. */
  close(): Promise<void>;
  /** Gives the handle up after a failure. */
  abandon(): Promise<void>;
}

export async function createFile(path: string): Promise<FileWriter> {
  const file = await open(path, 'wx');
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
    },
    async close() {
      await file.sync();
      await file.close();
    },
    abandon: () => file.close(),
  };
}

/** Gathers small pieces to large writes, and hashes them. */
class HashedFile {
  readonly #hash = createHash('sha256');
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  constructor(readonly file: FileWriter) {}
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const n = Math.min(bytes.length - at, BUFFER_BYTES - this.#filled);
      this.#buffer.set(bytes.subarray(at, at + n), this.#filled);
      this.#filled += n;
      at += n;
      if (this.#filled === BUFFER_BYTES) await this.#flush();
    }
  }
  async #flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#filled);
    this.#hash.update(bytes);
    await this.file.write(bytes);
    this.#filled = 0;
  }
  async close(): Promise<string> {
    if (this.#filled) await this.#flush();
    await this.file.close();
    return this.#hash.digest('hex');
  }
}

const asBytes = (a: Uint16Array | Uint32Array | Int32Array | Float64Array): Uint8Array =>
  new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** Writes the documents to an existing empty folder. On failure the files are left for the caller to remove. */
export async function writeTokenFolder(
  folder: string,
  documents: AsyncIterable<{ ids: Int32Array; bytes: number }>,
  about: { key: string; vocab_size: number },
  create: (path: string) => Promise<FileWriter> = createFile,
): Promise<void> {
  const dtype = about.vocab_size <= 2 ** 16 ? 'u16' : 'u32';
  const opened: FileWriter[] = [];
  const openWriter = async (name: string): Promise<FileWriter> => {
    const file = await create(join(folder, name));
    opened.push(file);
    return file;
  };
  try {
    const tokens = new HashedFile(await openWriter(TOKENS));
    const ends = new HashedFile(await openWriter(DOCUMENTS));
    let num_tokens = 0;
    let num_bytes = 0;
    let num_documents = 0;
    for await (const { ids, bytes } of documents) {
      num_tokens += ids.length;
      num_bytes += bytes;
      num_documents++;
      await tokens.write(asBytes(dtype === 'u16' ? Uint16Array.from(ids) : ids));
      await ends.write(asBytes(Float64Array.of(num_tokens, num_bytes)));
    }
    const tokens_sha256 = await tokens.close();
    const documents_sha256 = await ends.close();
    const header: Header = {
      format: 'vitro-tokens',
      version: 1,
      key: about.key,
      dtype,
      vocab_size: about.vocab_size,
      num_tokens,
      num_documents,
      num_bytes,
      tokens_sha256,
      documents_sha256,
    };
    const file = await openWriter(HEADER);
    await file.write(new TextEncoder().encode(`${JSON.stringify(header, null, 2)}\n`));
    await file.close();
  } catch (error) {
    await Promise.allSettled(opened.map((file) => file.abandon()));
    throw error;
  }
}

async function readHeader(folder: string, key: string): Promise<Header> {
  const damaged = (what: string): DataError => new DataError(`${folder}: the token files are damaged (${what}); remove the folder`);
  let header: Header;
  try {
    header = headerSchema.parse(JSON.parse(await readFile(join(folder, HEADER), 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code) throw error;
    throw damaged(`${HEADER} is not one`);
  }
  if (header.key !== key) throw damaged(`they belong to the key ${header.key}`);
  const sizes = [
    [TOKENS, header.num_tokens * (header.dtype === 'u16' ? 2 : 4)],
    [DOCUMENTS, header.num_documents * 16],
  ] as const;
  for (const [name, size] of sizes) {
    const found = (await stat(join(folder, name)).catch(() => undefined))?.size;
    if (found !== size) throw damaged(`${name} has ${found ?? 'no'} bytes, not ${size}`);
  }
  return header;
}

/**
 * Opens a folder of tokens: header, sizes and the hash of the index are checked; tokens are read where they are asked for, by position, so
 * that memory holds the index alone (16 bytes a document).
 * @throws DataError where the files are damaged; the file system's own error (ENOENT) where there are none
 */
export async function openTokenFolder(folder: string, key: string): Promise<TokenStore> {
  const header = await readHeader(folder, key);
  const index = await readFile(join(folder, DOCUMENTS));
  if (createHash('sha256').update(index).digest('hex') !== header.documents_sha256)
    throw new DataError(`${folder}: the token files are damaged (the hash of ${DOCUMENTS} differs); remove the folder`);
  const ends: DocumentEnds = new Float64Array(new Uint8Array(index).buffer);
  const { vocab_size, num_tokens, num_documents, num_bytes } = header;
  const path = join(folder, TOKENS);
  const wide = header.dtype === 'u32';
  let fd: number | undefined = openSync(path, 'r');
  let scratch = new Uint16Array(4096);

  /** Fills the bytes of `out` from a position of the file. */
  const readAt = (out: Uint8Array, position: number): void => {
    if (fd === undefined) throw new DataError(`${path}: read after close`);
    for (let at = 0; at < out.length; ) {
      const n = readSync(fd, out, at, out.length - at, position + at);
      if (!n) throw new DataError(`${path}: the file ends before byte ${position + out.length}; it was changed while open`);
      at += n;
    }
  };
  return {
    vocab_size,
    num_tokens,
    num_documents,
    num_bytes,
    fingerprint: key,
    read(start, length, out, at = 0) {
      checkRead(path, start, length, num_tokens);
      if (at + length > out.length) throw new DataError(`${path}: ${length} tokens at ${at} do not fit an array of ${out.length}`);
      if (wide) return readAt(asBytes(out.subarray(at, at + length)), start * 4);
      if (scratch.length < length) scratch = new Uint16Array(length);
      const part = scratch.subarray(0, length);
      readAt(asBytes(part), start * 2);
      out.set(part, at);
    },
    documentStart(document) {
      if (document !== num_documents) checkDocument(path, document, num_documents);
      return documentStart(ends, document);
    },
    documentBytes(document) {
      checkDocument(path, document, num_documents);
      return documentBytes(ends, document);
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
