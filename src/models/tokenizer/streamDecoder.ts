import type { Tokenizer } from '../../contracts/index.js';

/** Text of ids as they come: only whole characters leave, bytes of an unfinished one wait for the next id. */
export class StreamDecoder {
  #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  #started = false;

  constructor(
    readonly tokenizer: Tokenizer,
    readonly options: { readonly skip_special_tokens?: boolean } = {},
  ) {}

  /** The text that this id completes; often empty. */
  push(id: number): string {
    const bytes = this.tokenizer.tokenBytes(id);
    if (bytes.length === 0) {
      const special = this.tokenizer.decode([id], this.options);
      if (special === '') return '';
      this.#started = true;
      return this.end() + special;
    }
    const text = this.#utf8.decode(bytes, { stream: true });
    if (this.#started) return text;
    this.#started = true;
    // SentencePiece and WordPiece put a space before the text, which decode takes away again
    return text.startsWith(' ') && !this.tokenizer.decode([id], this.options).startsWith(' ') ? text.slice(1) : text;
  }

  /** What is left: U+FFFD where the last character was never completed. */
  end(): string {
    const rest = this.#utf8.decode();
    this.#utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
    return rest;
  }
}
