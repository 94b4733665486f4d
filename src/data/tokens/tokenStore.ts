import { createHash } from 'node:crypto';
import { VitroError } from '../../tensor/errors.js';

/** Random access to a sequence of tokens. */
export interface TokenReader {
  readonly num_tokens: number;
  /** Copies tokens [start, start + length) to `out` from index `at` (default 0). */
  read(start: number, length: number, out: Int32Array, at?: number): void;
}

/** The tokens of a corpus, document after document. */
export interface TokenStore extends TokenReader {
  readonly vocab_size: number;
  readonly num_documents: number;
  /** UTF-8 bytes of all documents' text: bits per byte divide by it. Tokens that stand for no text (eos) add none. */
  readonly num_bytes: number;
  /** names the content: equal fingerprints, equal tokens */
  readonly fingerprint: string;
  /** the first token of a document; of document num_documents, num_tokens */
  documentStart(document: number): number;
  /** UTF-8 bytes of one document's text */
  documentBytes(document: number): number;
  /** Gives files up. Reading afterwards is an error. */
  close(): void;
}

export type TokenArray = Uint8Array | Uint16Array | Uint32Array | Int32Array;

/** The ends of documents, as both kinds of stores keep them: [tokens, bytes] up to and including each document, flat. */
export type DocumentEnds = Float64Array;

export const documentStart = (ends: DocumentEnds, document: number): number => (document === 0 ? 0 : (ends[2 * (document - 1)] as number));

export const documentBytes = (ends: DocumentEnds, document: number): number =>
  (ends[2 * document + 1] as number) - (document === 0 ? 0 : (ends[2 * document - 1] as number));

export function checkRead(what: string, start: number, length: number, count: number): void {
  if (!(Number.isInteger(start) && Number.isInteger(length) && start >= 0 && length >= 0 && start + length <= count))
    throw new VitroError(`${what}: tokens [${start}, ${start + length}) lie outside of [0, ${count})`);
}

export function checkDocument(what: string, document: number, count: number): void {
  if (!(Number.isInteger(document) && document >= 0 && document < count))
    throw new VitroError(`${what}: there is no document ${document}; documents are numbered from 0 to ${count - 1}`);
}

/** A reader of an array, without a copy. */
export function arrayReader(tokens: TokenArray): TokenReader {
  return {
    num_tokens: tokens.length,
    read(start, length, out, at = 0) {
      checkRead('tokens', start, length, tokens.length);
      out.set(tokens.subarray(start, start + length), at);
    },
  };
}

/** Tokens in memory. Without `ends` they are one document of bytes (vocabulary 256). */
export function memoryTokens(
  tokens: TokenArray,
  parts: { vocab_size?: number; ends?: DocumentEnds; fingerprint?: string } = {},
): TokenStore {
  const { vocab_size = 256, ends = Float64Array.of(tokens.length, tokens.length) } = parts;
  const count = ends.length / 2;
  if (!Number.isInteger(count) || documentStart(ends, count) !== tokens.length)
    throw new VitroError(`memoryTokens: the documents end at token ${documentStart(ends, count)}, but there are ${tokens.length}`);
  const fingerprint =
    parts.fingerprint ??
    createHash('sha256')
      .update(`tokens ${vocab_size} ${tokens.BYTES_PER_ELEMENT}`)
      .update(new Uint8Array(ends.buffer, ends.byteOffset, ends.byteLength))
      .update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength))
      .digest('hex');
  return {
    ...arrayReader(tokens),
    vocab_size,
    num_documents: count,
    num_bytes: ends.at(-1) ?? 0,
    fingerprint,
    documentStart(document) {
      if (document !== count) checkDocument('tokens', document, count);
      return documentStart(ends, document);
    },
    documentBytes(document) {
      checkDocument('tokens', document, count);
      return documentBytes(ends, document);
    },
    close() {},
  };
}
