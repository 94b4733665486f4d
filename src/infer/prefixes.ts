import type { KvCache } from '../models/decoder/cached.js';
import type { ParamTree } from '../nn/param.js';
import { NDArray } from '../tensor/array.js';
import { bucketLength } from '../tensor/compile/bucket.js';
import type { DecodeEngine } from './decodeEngine.js';

/** Lengths are padded to multiples of this, so that few functions are compiled. */
export const bucket = 64;

/** Tokens, padding included, that one prefill computes at most (a longer prompt alone counts as one). */
const chunkTokens = 2048;

/** The padded length of a prompt's prefix: 16, 32 or multiples of 64. The last token of a prompt is left to the first decoding step. */
export function prefixBucket(promptLength: number, context: number): number {
  const length = promptLength - 1;
  if (length <= 0) return 0;
  return Math.min(length <= 16 ? 16 : length <= 32 ? 32 : bucketLength(length, bucket), context);
}

/** Where a prompt's keys and values stand. */
export interface PromptCache {
  readonly cache: KvCache<NDArray>;
  readonly row: number;
}

/** Caches of prompts, computed when they are first asked for, several of one padded length at a time. Only the newest ones are kept: ask in order. */
export class PrefixCaches {
  #first = 0;
  #caches: KvCache<NDArray> | undefined;
  #count = 0;

  /** `prompts` in the order in which they will be asked for; `limit` is the longest sequence that is planned */
  constructor(
    readonly engine: DecodeEngine,
    readonly params: ParamTree<NDArray>,
    readonly prompts: readonly Int32Array[],
    readonly limit: number,
  ) {}

  /** The cache of prompt `place`, and its row there; undefined for a prompt of one token. */
  async get(place: number): Promise<PromptCache | undefined> {
    const sizeOf = (prompt: Int32Array | undefined): number => prefixBucket(prompt?.length ?? 0, this.engine.model.context);
    const size = sizeOf(this.prompts[place]);
    if (size === 0) return undefined;
    if (!this.#caches || place < this.#first || place >= this.#first + this.#count) {
      const most = Math.max(1, Math.floor(chunkTokens / size));
      const chunk = this.prompts.slice(place, place + most);
      const end = chunk.findIndex((prompt) => sizeOf(prompt) !== size);
      await this.#prefill(place, end < 0 ? chunk : chunk.slice(0, end), size);
    }
    return { cache: this.#caches as KvCache<NDArray>, row: place - this.#first };
  }

  async #prefill(first: number, chunk: readonly Int32Array[], size: number): Promise<void> {
    const ids = new Int32Array(chunk.length * size);
    for (const [i, prompt] of chunk.entries()) ids.set(prompt.subarray(0, -1), i * size);
    this.#caches = undefined;
    const capacity = this.engine.model.scalesWithLength ? this.limit : size;
    this.#caches = await this.engine.prefill(this.params, new NDArray('i32', [chunk.length, size], ids), capacity);
    this.#first = first;
    this.#count = chunk.length;
  }
}
