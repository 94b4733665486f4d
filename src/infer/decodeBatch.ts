import type { ParamTree } from '../nn/param.js';
import { NDArray } from '../tensor/array.js';
import { bucketLength } from '../tensor/compile/bucket.js';
import { VitroError } from '../tensor/errors.js';
import type { CompletionRow, TokenEvent } from './completionRow.js';
import { type DecodeEngine, limitBucket } from './decodeEngine.js';
import type { KvRows } from './kvRows.js';
import { bucket, type PromptCache } from './prefixes.js';
import type { SamplerChain } from './sampling.js';

/** Which tokens occurred in each row, bool [rows, V], where the chain asks for it. */
class SeenTokens {
  readonly #marks: Uint8Array<ArrayBuffer>;
  constructor(
    rows: number,
    readonly vocabulary: number,
  ) {
    this.#marks = new Uint8Array(rows * vocabulary);
  }
  add(row: number, token: number): void {
    this.#marks[row * this.vocabulary + token] = 1;
  }
  start(row: number, prompt: Int32Array): void {
    this.#marks.fill(0, row * this.vocabulary, (row + 1) * this.vocabulary);
    for (const token of prompt) this.add(row, token);
  }
  move(from: number, to: number): void {
    this.#marks.copyWithin(to * this.vocabulary, from * this.vocabulary, (from + 1) * this.vocabulary);
  }
  first(rows: number): NDArray {
    return new NDArray('bool', [rows, this.vocabulary], this.#marks.subarray(0, rows * this.vocabulary));
  }
}

/** What a step is told of its rows. The arrays are written anew for every step, and made anew where the number of rows changes. */
class RowInputs {
  readonly ids: NDArray;
  readonly lengths: NDArray;
  readonly uniform: NDArray;
  constructor(readonly rows: number) {
    this.ids = new NDArray('i32', [rows], new Int32Array(rows));
    this.lengths = new NDArray('i32', [rows], new Int32Array(rows));
    this.uniform = new NDArray('f32', [rows], new Float32Array(rows));
  }
  write(rows: readonly CompletionRow[], draws: boolean): void {
    for (const [i, row] of rows.entries()) {
      this.ids.data[i] = row.next;
      this.lengths.data[i] = row.length;
      if (draws) this.uniform.data[i] = row.uniform;
    }
  }
}

/** Rows that are decoded together: slots of one cache, refilled while rows are waiting, and closed up afterwards. */
export class DecodeBatch {
  readonly active: CompletionRow[] = [];
  readonly #kv: KvRows;
  readonly #most: number;
  /** the longest sequence that is planned, rounded up */
  readonly limit: number;
  readonly #seen: SeenTokens | undefined;
  #inputs = new RowInputs(0);

  constructor(
    readonly engine: DecodeEngine,
    readonly chain: SamplerChain,
    readonly params: ParamTree<NDArray>,
    readonly slots: number,
    readonly longest: number,
  ) {
    const { context } = engine.model;
    const capacity = Math.min(bucketLength(longest, bucket), context);
    this.limit = limitBucket(capacity, context);
    this.#kv = engine.takeRows(slots, capacity);
    this.#kv.resize(0);
    this.#most = capacity;
    this.#seen = chain.needsSeen ? new SeenTokens(slots, engine.model.vocab_size) : undefined;
  }

  /** Puts a row whose prompt's cache is given into a slot. */
  place(slot: number, row: CompletionRow, prefix: PromptCache | undefined): void {
    this.#makeRoom(row.length);
    if (prefix) this.#kv.fill(slot, prefix.cache, prefix.row, row.length);
    this.#seen?.start(slot, row.promptIds);
    this.active[slot] = row;
  }

  /** Lets the cache hold `length` tokens and one more. */
  #makeRoom(length: number): void {
    if (length < this.#kv.capacity) return;
    this.#kv.resize(this.engine.readsWhole ? Math.min(bucketLength(length + 1, bucket), this.#most) : this.#most);
  }

  /** Frees a slot by moving the last row there. */
  close(slot: number): void {
    const last = this.active.length - 1;
    if (slot !== last) {
      this.#kv.move(last, slot);
      this.#seen?.move(last, slot);
      this.active[slot] = this.active[last] as CompletionRow;
    }
    this.active.pop();
  }

  /** One more token for every row. */
  async step(onToken: ((event: TokenEvent) => void) | undefined): Promise<void> {
    const rows = this.active.length;
    const draws = !this.chain.deterministic;
    this.#makeRoom(this.active.reduce((most, row) => Math.max(most, row.length), 0));
    if (this.#inputs.rows !== rows) this.#inputs = new RowInputs(rows);
    this.#inputs.write(this.active, draws);
    const { ids, lengths, uniform } = this.#inputs;
    const input = { ids, lengths, ...(draws ? { uniform } : {}), ...(this.#seen ? { seen: this.#seen.first(rows) } : {}) };
    const out = await this.engine.step(this.chain, this.params, input, this.#kv, this.limit);
    const column = (name: keyof typeof out): Float32Array => out[name].data as Float32Array;
    const [tokens, logps, samplingLogps, entropies] = [column('token'), column('logp'), column('sampling_logp'), column('entropy')];
    for (const [i, row] of this.active.entries()) {
      const [token, logp] = [tokens[i] as number, logps[i] as number];
      if (!Number.isFinite(logp))
        throw new VitroError(`generate: the model's logits after ${row.length + 1} tokens of prompt ${row.prompt} are not finite`);
      this.#seen?.add(i, token);
      const text = row.accept(token, logp, samplingLogps[i] as number, entropies[i] as number);
      onToken?.(row.event(text));
    }
  }

  /** Leaves the memory to the next generation. */
  release(): void {
    this.engine.giveRows(this.#kv);
  }
}
