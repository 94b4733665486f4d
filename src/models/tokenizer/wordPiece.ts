import { VitroError } from '../../tensor/errors.js';
import { utf8 } from './bytes.js';
import type { TokenDecoder } from './decoder.js';
import type { JsonRecord } from './json.js';
import type { SubwordModel } from './model.js';
import type { Normalizer } from './normalizer.js';

export interface WordPieceOptions {
  readonly vocab: ReadonlyMap<string, number>;
  readonly unk_token: string;
  readonly continuing_subword_prefix: string;
  readonly max_input_chars_per_word: number;
}

/** WordPiece (BERT): the longest token at each place of a word; a word that cannot be spelled is unknown as a whole. */
export class WordPieceModel implements SubwordModel {
  readonly vocab: ReadonlyMap<string, number>;
  readonly #unknown: number;
  readonly #longest: number;

  constructor(readonly options: WordPieceOptions) {
    this.vocab = options.vocab;
    const unknown = options.vocab.get(options.unk_token);
    if (unknown === undefined) throw new VitroError(`unk_token ${JSON.stringify(options.unk_token)} is not in the vocabulary`);
    this.#unknown = unknown;
    let longest = 1;
    for (const token of options.vocab.keys()) longest = Math.max(longest, token.length);
    this.#longest = longest;
  }

  encode(word: string): number[] {
    const { vocab, continuing_subword_prefix: prefix, max_input_chars_per_word } = this.options;
    // more UTF-16 units than twice the limit are too many characters in any case
    if (
      word.length > max_input_chars_per_word &&
      (word.length > 2 * max_input_chars_per_word || [...word].length > max_input_chars_per_word)
    )
      return [this.#unknown];
    const out: number[] = [];
    for (let start = 0; start < word.length; ) {
      let end = Math.min(word.length, start + this.#longest);
      let id: number | undefined;
      for (; end > start && id === undefined; end--) id = vocab.get((start > 0 ? prefix : '') + word.slice(start, end));
      if (id === undefined) return [this.#unknown];
      out.push(id);
      start = end + 1;
    }
    return out;
  }

  toJson(): JsonRecord {
    return { type: 'WordPiece', ...this.options, vocab: Object.fromEntries(this.vocab) };
  }
}

/** [text before, text after] for each token, in this order; the clean-up of BERT's decoder. */
const cleanUps: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Tokens that start a word bring the space before it. */
export function wordPieceDecoder(prefix: string, cleanup: boolean): TokenDecoder {
  const bytes = (token: string): Uint8Array => {
    if (token.startsWith(prefix)) return utf8(token.slice(prefix.length));
    const spaced = ` ${token}`;
    return utf8(cleanup ? cleanUps.reduce((text, [from, to]) => text.replaceAll(from, to), spaced) : spaced);
  };
  return { bytes, specialBytes: bytes, strips_leading_space: true };
}

/** Text as BERT's vocabularies expect it: no control characters, spaces around CJK characters, on demand no accents and lower case. */
export function bertNormalizer(record: JsonRecord): Normalizer {
  const lowercase = record.lowercase !== false;
  const stripAccents = typeof record.strip_accents === 'boolean' ? record.strip_accents : lowercase;
  return (text) => {
    let out = text;
    if (record.clean_text !== false)
      out = out.replace(/[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu, '').replace(/\p{White_Space}/gu, ' ');
    if (record.handle_chinese_chars !== false) out = out.replace(cjk, ' $& ');
    if (stripAccents) out = out.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lowercase ? lowerCase(out) : out;
  };
}

/** Blocks of CJK ideographs. */
const cjk =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/** Lower case per character, as the field's tokenizers do: no final sigma. */
export const lowerCase = (text: string): string => text.replaceAll('Σ', 'σ').toLowerCase();
