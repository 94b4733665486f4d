import { createHash } from 'node:crypto';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { VitroError } from '../../tensor/errors.js';
import { readAddedTokens } from './addedTokens.js';
import { utf8 } from './bytes.js';
import { specialId, type TokenizerConfig } from './config.js';
import type { JsonRecord } from './json.js';
import type { SerializableTokenizer } from './subwordTokenizer.js';

/** Pipelines that Vitro's own encoder does not state, run by @huggingface/tokenizers. */
export class LibraryTokenizer implements SerializableTokenizer {
  readonly vocab_size: number;
  readonly bos_token_id: number | null;
  readonly eos_token_id: number | null;
  readonly pad_token_id: number | null;
  readonly #library: HuggingFaceTokenizer;
  readonly #special: ReadonlySet<number>;
  #fingerprint: string | undefined;

  constructor(
    readonly json: JsonRecord,
    readonly config: TokenizerConfig,
  ) {
    const added = readAddedTokens(json.added_tokens);
    this.#special = new Set(added.filter((t) => t.special).map((t) => t.id));
    try {
      this.#library = new HuggingFaceTokenizer(json, config);
      let largest = -1;
      for (const id of this.#library.get_vocab(true).values()) largest = Math.max(largest, id);
      this.vocab_size = largest + 1;
      this.#library.encode('a');
    } catch (error) {
      throw new VitroError(`tokenizer.json cannot be used: ${(error as Error).message}`, { cause: error });
    }
    const id = (token: string): number | undefined => this.tokenId(token);
    this.bos_token_id = specialId('bos', config, id);
    this.eos_token_id = specialId('eos', config, id);
    this.pad_token_id = specialId('pad', config, id);
  }

  get fingerprint(): string {
    this.#fingerprint ??= createHash('sha256').update(JSON.stringify(this.json)).digest('hex');
    return this.#fingerprint;
  }

  encode(text: string, { add_special_tokens = false }: { readonly add_special_tokens?: boolean } = {}): Int32Array {
    return Int32Array.from(this.#library.encode(text, { add_special_tokens }).ids);
  }

  decode(ids: ArrayLike<number>, { skip_special_tokens = false }: { readonly skip_special_tokens?: boolean } = {}): string {
    const known = Array.from(ids).filter((id) => this.#library.id_to_token(id) !== undefined);
    return known.length === 0 ? '' : this.#library.decode(known, { skip_special_tokens });
  }

  tokenBytes(id: number): Uint8Array {
    const token = this.#special.has(id) ? undefined : this.#library.id_to_token(id);
    return utf8(token?.replaceAll('▁', ' ') ?? '');
  }

  tokenId(token: string): number | undefined {
    return this.#library.token_to_id(token);
  }

  toJson(): JsonRecord {
    return this.json;
  }
}
