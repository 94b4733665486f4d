import type { Tokenizer } from '../contracts/index.js';
import { StreamDecoder } from '../models/tokenizer/streamDecoder.js';

/** Tokens of the prompt that are decoded first, so that the completion goes on within a character or a word. */
const context = 8;

/**
 * Text of a completion as its tokens come. Text that might be the beginning of a stop string waits until it is known not to be; the stop string
 * itself never leaves.
 */
export class StopText {
  readonly #decoder: StreamDecoder;
  #pending = '';
  #text = '';
  #stopped = false;

  constructor(
    readonly tokenizer: Tokenizer,
    readonly stops: readonly string[],
    prompt: Int32Array,
  ) {
    this.#decoder = new StreamDecoder(tokenizer, { skip_special_tokens: true });
    for (const id of prompt.subarray(-context)) this.#decoder.push(id);
  }

  /** What has left so far. */
  get text(): string {
    return this.#text;
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The text that one more token lets go. */
  push(id: number): string {
    if (id < this.tokenizer.vocab_size) this.#pending += this.#decoder.push(id);
    const found = this.stops.map((stop) => this.#pending.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#stopped = true;
      return this.#release(Math.min(...found));
    }
    return this.#release(this.#pending.length - this.#heldBack());
  }

  /** What was held back, when the completion ends without a stop string. */
  end(): string {
    if (this.#stopped) return '';
    this.#pending += this.#decoder.end();
    return this.#release(this.#pending.length);
  }

  #release(length: number): string {
    const out = this.#pending.slice(0, length);
    this.#pending = this.#pending.slice(length);
    this.#text += out;
    return out;
  }

  /** Length of the longest ending that begins a stop string. */
  #heldBack(): number {
    const longest = Math.max(0, ...this.stops.map((stop) => stop.length - 1));
    for (let n = Math.min(longest, this.#pending.length); n > 0; n--)
      if (this.stops.some((stop) => stop.length > n && stop.startsWith(this.#pending.slice(-n)))) return n;
    return 0;
  }
}
