/** Text to token ids and back. Implementations live in src/models/tokenizer. */
export interface Tokenizer {
  /** number of ids, special tokens included: every id is below it */
  readonly vocab_size: number;
  readonly bos_token_id: number | null;
  readonly eos_token_id: number | null;
  readonly pad_token_id: number | null;
  /** SHA-256 over everything that determines the ids, for caches of tokens */
  readonly fingerprint: string;
  /** Ids of a text. `add_special_tokens` (default false) adds what the tokenizer's own post-processor adds, e.g. a leading bos. */
  encode(text: string, options?: { readonly add_special_tokens?: boolean }): Int32Array;
  /** Text of ids. Invalid UTF-8 becomes U+FFFD. */
  decode(ids: ArrayLike<number>, options?: { readonly skip_special_tokens?: boolean }): string;
  /** The bytes that one id stands for (empty for special tokens); streaming and bits per byte count them. */
  tokenBytes(id: number): Uint8Array;
  /** the id of a special or ordinary token's literal text; undefined where there is none */
  tokenId(token: string): number | undefined;
}
