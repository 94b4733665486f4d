import { createHash } from 'node:crypto';
import { VitroError } from '../../tensor/errors.js';
import { type AddedToken, AddedTokenMatcher } from './addedTokens.js';
import { byteToChar, concatBytes, textOf, utf8 } from './bytes.js';
import { specialId, type TokenizerConfig } from './config.js';
import { byteLevelSpec } from './decoder.js';
import { IdBuffer } from './idBuffer.js';
import type { JsonRecord } from './json.js';
import type { SerializableTokenizer } from './subwordTokenizer.js';

export interface ByteTokenizerOptions {
  /** literal texts with the ids 256, 257, ... in this order */
  readonly special_tokens?: readonly string[];
  readonly bos_token?: string;
  readonly eos_token?: string;
  readonly pad_token?: string;
}

/** Ids 0 to 255 are the bytes of the UTF-8 text; special tokens follow. `add_special_tokens` adds nothing. */
export function byteTokenizer(options: ByteTokenizerOptions = {}): SerializableTokenizer {
  return new ByteTokenizer(options);
}

class ByteTokenizer implements SerializableTokenizer {
  readonly vocab_size: number;
  readonly bos_token_id: number | null;
  readonly eos_token_id: number | null;
  readonly pad_token_id: number | null;
  readonly fingerprint: string;
  readonly config: TokenizerConfig;
  readonly #special: readonly AddedToken[];
  readonly #matcher: AddedTokenMatcher;

  constructor({ special_tokens = [], ...roles }: ByteTokenizerOptions) {
    if (new Set(special_tokens).size < special_tokens.length || special_tokens.includes(''))
      throw new VitroError(`special_tokens must differ and not be empty: ${JSON.stringify(special_tokens)}`);
    for (const token of Object.values(roles))
      if (token !== undefined && !special_tokens.includes(token))
        throw new VitroError(`${JSON.stringify(token)} is not among special_tokens`);
    this.#special = special_tokens.map((content, i) => ({
      id: 256 + i,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    }));
    this.#matcher = new AddedTokenMatcher(this.#special);
    this.vocab_size = 256 + special_tokens.length;
    this.config = { tokenizer_class: 'PreTrainedTokenizerFast', ...roles };
    const id = (token: string): number | undefined => this.tokenId(token);
    this.bos_token_id = specialId('bos', this.config, id);
    this.eos_token_id = specialId('eos', this.config, id);
    this.pad_token_id = specialId('pad', this.config, id);
    this.fingerprint = createHash('sha256').update(JSON.stringify(this.toJson())).digest('hex');
  }

  encode(text: string): Int32Array {
    if (this.#special.length === 0) return new Int32Array(utf8(text));
    const out = new IdBuffer(text.length);
    this.#matcher.split(
      text,
      (section) => out.pushAll(utf8(section)),
      (token) => out.push(token.id),
    );
    return out.finish();
  }

  decode(ids: ArrayLike<number>, { skip_special_tokens = false }: { readonly skip_special_tokens?: boolean } = {}): string {
    const parts: Uint8Array[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as number;
      const special = this.#special[id - 256];
      if (!special) parts.push(this.tokenBytes(id));
      else if (!skip_special_tokens) parts.push(utf8(special.content));
    }
    return textOf(concatBytes(parts));
  }

  tokenBytes(id: number): Uint8Array {
    return id >= 0 && id < 256 ? Uint8Array.of(id) : new Uint8Array(0);
  }

  /** Of a special token's text, of one ASCII character, or of the byte-level character of a byte as tokenizer.json spells it. */
  tokenId(token: string): number | undefined {
    const special = this.#special.find((t) => t.content === token);
    if (special) return special.id;
    const byte = byteToChar.indexOf(token);
    if (byte >= 0) return byte;
    return token.length === 1 && token.charCodeAt(0) < 128 ? token.charCodeAt(0) : undefined;
  }

  toJson(): JsonRecord {
    return {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: this.#special,
      normalizer: null,
      pre_tokenizer: byteLevelSpec,
      post_processor: null,
      decoder: byteLevelSpec,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(byteToChar.map((char, byte) => [char, byte])),
        merges: [],
      },
    };
  }
}
