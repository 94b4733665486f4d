import { createHash } from 'node:crypto';
import type { Tokenizer } from '../../contracts/index.js';
import { DataError, type Dataset, requireColumns } from '../dataset/dataset.js';
import { type DocumentEnds, memoryTokens, type TokenStore } from './tokenStore.js';

export interface EncodeOptions {
  /** default text */
  readonly text_column?: string;
  /** adds what the tokenizer's own post-processor adds to each document (e.g. a leading bos); default false */
  readonly add_special_tokens?: boolean;
  /** ends each document with the tokenizer's eos; default: where it has one */
  readonly append_eos?: boolean;
  readonly signal?: AbortSignal;
  /** called after about every megabyte of text and at the end */
  readonly onProgress?: (progress: EncodeProgress) => void;
}

export interface EncodeProgress {
  readonly documents: number;
  readonly tokens: number;
  readonly bytes: number;
  /** null where the dataset does not know its length */
  readonly total_documents: number | null;
}

interface EncodedDocument {
  readonly ids: Int32Array;
  /** UTF-8 bytes of the text */
  readonly bytes: number;
}

const PROGRESS_BYTES = 1 << 20;

function resolved(tokenizer: Tokenizer, options: EncodeOptions) {
  const { text_column = 'text', add_special_tokens = false, append_eos = tokenizer.eos_token_id !== null } = options;
  if (append_eos && tokenizer.eos_token_id === null)
    throw new DataError('append_eos: the tokenizer has no eos token; set append_eos to false or name an eos token');
  return { text_column, add_special_tokens, append_eos };
}

/** The name of the tokens that a dataset, a tokenizer and options give: SHA-256. */
export function tokensKey(dataset: Dataset, tokenizer: Tokenizer, options: EncodeOptions = {}): string {
  const content = { version: 1, dataset: dataset.fingerprint, tokenizer: tokenizer.fingerprint, ...resolved(tokenizer, options) };
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

/** The documents of a dataset's text column as ids. An id that the vocabulary does not hold, and text that is not a string, are errors. */
export async function* encodeDocuments(
  dataset: Dataset,
  tokenizer: Tokenizer,
  options: EncodeOptions = {},
): AsyncGenerator<EncodedDocument> {
  const { text_column, add_special_tokens, append_eos } = resolved(tokenizer, options);
  requireColumns('the dataset', [text_column], dataset.columns);
  const eos = tokenizer.eos_token_id ?? 0;
  let documents = 0;
  let tokens = 0;
  let bytes = 0;
  let reported = 0;
  const report = (): void => {
    reported = bytes;
    options.onProgress?.({ documents, tokens, bytes, total_documents: dataset.length });
  };
  for await (const row of dataset.rows()) {
    options.signal?.throwIfAborted();
    const text = row[text_column];
    if (typeof text !== 'string') {
      const found = text === null || text === undefined ? 'null' : Array.isArray(text) ? 'a list' : `a ${typeof text}`;
      throw new DataError(
        `row ${documents}: column "${text_column}" holds ${found}, not a string; filter such rows or name another text_column`,
      );
    }
    const encoded = tokenizer.encode(text, { add_special_tokens });
    let ids = encoded;
    if (append_eos) {
      ids = new Int32Array(encoded.length + 1);
      ids.set(encoded);
      ids[encoded.length] = eos;
    }
    for (const id of ids)
      if (id < 0 || id >= tokenizer.vocab_size)
        throw new DataError(`row ${documents}: the tokenizer gave the id ${id}, outside of its vocabulary of ${tokenizer.vocab_size}`);
    const size = Buffer.byteLength(text);
    documents++;
    tokens += ids.length;
    bytes += size;
    if (bytes - reported >= PROGRESS_BYTES) report();
    yield { ids, bytes: size };
  }
  if (!tokens) throw new DataError(`the dataset gives no tokens: column "${text_column}" of ${documents} rows is empty`);
  report();
}

/** Collects numbers in a typed array that doubles when it is full. */
class Growing<T extends Int32Array | Float64Array> {
  #length = 0;
  #values: T;
  constructor(readonly make: (length: number) => T) {
    this.#values = make(1024);
  }
  push(values: ArrayLike<number>): void {
    const needed = this.#length + values.length;
    if (needed > this.#values.length) {
      const larger = this.make(Math.max(needed, 2 * this.#values.length));
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values.set(values, this.#length);
    this.#length = needed;
  }
  done(): T {
    return this.#values.slice(0, this.#length) as T;
  }
}

/** Tokenises a small dataset in memory. Same tokens and fingerprint as `cacheTokens` gives. */
export async function encodeTokens(dataset: Dataset, tokenizer: Tokenizer, options: EncodeOptions = {}): Promise<TokenStore> {
  const ids = new Growing((n) => new Int32Array(n));
  const ends = new Growing((n) => new Float64Array(n) as DocumentEnds);
  let tokens = 0;
  let bytes = 0;
  for await (const document of encodeDocuments(dataset, tokenizer, options)) {
    ids.push(document.ids);
    tokens += document.ids.length;
    bytes += document.bytes;
    ends.push([tokens, bytes]);
  }
  return memoryTokens(ids.done(), {
    vocab_size: tokenizer.vocab_size,
    ends: ends.done(),
    fingerprint: tokensKey(dataset, tokenizer, options),
  });
}
