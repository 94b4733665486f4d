import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DataError } from './dataset.js';

const CHUNK = 1 << 20;

/** Characters that one string can hold, with room for one more chunk. */
const MAX_TEXT = 2 ** 29 - 2 ** 24;

/** Refuses a line or document that no string can hold. */
export function checkTextLength(path: string, length: number): void {
  if (length > MAX_TEXT) throw new DataError(`${path}: a line or document of more than 500 MB; give a \`separator\` that divides it`);
}

const reason = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return 'the gzip stream ends early; the file is truncated';
  if (code === 'Z_DATA_ERROR') return `the gzip stream is damaged (${message})`;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES') return 'permission denied';
  return message;
};

/** The bytes of a file in pieces, unpacked where the name ends in .gz. */
export async function* byteChunks(path: string): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: CHUNK });
  const bytes = path.endsWith('.gz') ? pipeline(file, createGunzip({ chunkSize: CHUNK }), () => {}) : file;
  try {
    for await (const chunk of bytes) yield chunk as Buffer;
  } catch (error) {
    throw new DataError(`${path}: ${reason(error)}`);
  } finally {
    file.destroy();
  }
}

/** The text of a file in pieces. Bytes that are not UTF-8 are an error; a byte-order mark is dropped. */
export async function* textChunks(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let read = 0;
  const decode = (chunk?: Buffer): string => {
    try {
      return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
    } catch {
      throw new DataError(`${path}: not UTF-8 text, between bytes ${read} and ${read + (chunk?.length ?? 0)}; convert it first`);
    }
  };
  for await (const chunk of byteChunks(path)) {
    yield decode(chunk);
    read += chunk.length;
  }
  yield decode();
}

/** The lines of a file without their line ends (\n or \r\n). */
export async function* textLines(path: string): AsyncGenerator<string> {
  const strip = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line);
  let rest = '';
  for await (const chunk of textChunks(path)) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() as string;
    checkTextLength(path, rest.length);
    for (const line of lines) yield strip(line);
  }
  if (rest) yield strip(rest);
}

/** The whole text of a file. */
export async function wholeText(path: string): Promise<string> {
  const parts: string[] = [];
  let length = 0;
  for await (const chunk of textChunks(path)) {
    length += chunk.length;
    checkTextLength(path, length);
    parts.push(chunk);
  }
  return parts.join('');
}

/** SHA-256 of a file's bytes as they lie on disk. */
export async function fileSha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) hash.update(chunk as Buffer);
  } catch (error) {
    throw new DataError(`${path}: ${reason(error)}`);
  }
  return hash.digest('hex');
}
