import { VitroError } from '../../tensor/errors.js';
import { byteToken, utf8 } from './bytes.js';
import type { JsonRecord } from './json.js';
import { mergeSymbols } from './merge.js';
import type { SubwordModel } from './model.js';
import { PairTable } from './pairTable.js';

export interface BpeOptions {
  readonly vocab: ReadonlyMap<string, number>;
  readonly rules: PairTable;
  readonly unk_token?: string | null;
  /** one unknown id for a run of unknown characters */
  readonly fuse_unk?: boolean;
  /** spell characters outside of the vocabulary as "<0xXX>" tokens */
  readonly byte_fallback?: boolean;
  /** a piece that is a token as a whole is that token, whatever the merges say (Llama 3) */
  readonly ignore_merges?: boolean;
  readonly continuing_subword_prefix?: string | null;
  readonly end_of_word_suffix?: string | null;
}

/** Byte pair encoding over the characters of a piece. A character that has no id and no fallback is dropped, as in the field's tokenizers. */
export class BpeModel implements SubwordModel {
  readonly vocab: ReadonlyMap<string, number>;
  readonly unknown: number | null;
  readonly #byteIds: readonly number[] | null;

  constructor(readonly options: BpeOptions) {
    this.vocab = options.vocab;
    const { unk_token } = options;
    const unknown = unk_token ? options.vocab.get(unk_token) : undefined;
    if (unk_token && unknown === undefined) throw new VitroError(`unk_token ${JSON.stringify(unk_token)} is not in the vocabulary`);
    this.unknown = unknown ?? null;
    const bytes = Array.from({ length: 256 }, (_, byte) => options.vocab.get(byteToken(byte)) ?? -1);
    this.#byteIds = options.byte_fallback ? bytes : null;
  }

  encode(piece: string): number[] {
    const { vocab, ignore_merges, rules } = this.options;
    if (ignore_merges) {
      const whole = vocab.get(piece);
      if (whole !== undefined) return [whole];
    }
    return mergeSymbols(this.#symbols(piece), rules);
  }

  toJson(): JsonRecord {
    const { options } = this;
    const texts = new Map([...this.vocab].map(([token, id]) => [id, token]));
    return {
      type: 'BPE',
      dropout: null,
      unk_token: options.unk_token ?? null,
      continuing_subword_prefix: options.continuing_subword_prefix ?? null,
      end_of_word_suffix: options.end_of_word_suffix ?? null,
      fuse_unk: options.fuse_unk ?? false,
      byte_fallback: options.byte_fallback ?? false,
      ignore_merges: options.ignore_merges ?? false,
      vocab: Object.fromEntries(this.vocab),
      merges: options.rules.rules().map(([left, right]) => [texts.get(left), texts.get(right)]),
    };
  }

  #symbols(piece: string): number[] {
    const { vocab, continuing_subword_prefix: prefix, end_of_word_suffix: suffix, fuse_unk } = this.options;
    const chars = prefix || suffix ? decorated(piece, prefix ?? '', suffix ?? '') : piece;
    const out: number[] = [];
    let afterUnknown = false;
    for (const char of chars) {
      const id = vocab.get(char);
      if (id !== undefined) {
        out.push(id);
        afterUnknown = false;
      } else if (!this.#spell(char, out)) {
        if (this.unknown !== null && !(fuse_unk && afterUnknown)) out.push(this.unknown);
        afterUnknown = true;
      } else afterUnknown = false;
    }
    return out;
  }

  #spell(char: string, out: number[]): boolean {
    const ids = this.#byteIds;
    if (!ids) return false;
    const bytes = utf8(char);
    if (bytes.some((byte) => (ids[byte] as number) < 0)) return false;
    for (const byte of bytes) out.push(ids[byte] as number);
    return true;
  }
}

const decorated = (piece: string, prefix: string, suffix: string): string[] => {
  const chars = [...piece];
  return chars.map((char, i) => `${i > 0 ? prefix : ''}${char}${i === chars.length - 1 ? suffix : ''}`);
};

/**
 * Rules from a list of merges in order of rank, each "left right" or [left, right].
 * @throws VitroError where a merge or its product is not in the vocabulary
 */
export function rulesFromMerges(merges: readonly unknown[], vocab: ReadonlyMap<string, number>, prefix = ''): PairTable {
  const rules = new PairTable(merges.length);
  for (const [rank, merge] of merges.entries()) {
    const [left, right] = splitMerge(merge, rank);
    const l = vocab.get(left);
    const r = vocab.get(right);
    const product = vocab.get(left + (prefix && right.startsWith(prefix) ? right.slice(prefix.length) : right));
    if (l === undefined || r === undefined || product === undefined)
      throw new VitroError(`merge ${rank} (${JSON.stringify(left)}, ${JSON.stringify(right)}) names a token that is not in the vocabulary`);
    rules.set(l, r, rank, product);
  }
  return rules;
}

function splitMerge(merge: unknown, rank: number): [string, string] {
  const parts: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
  const [left, right] = parts;
  if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string' || left === '' || right === '')
    throw new VitroError(`merge ${rank} is ${JSON.stringify(merge)}; expected two tokens`);
  return [left, right];
}

/**
 * Rules of vocabularies without a list of merges: any two tokens whose concatenation is a token merge, ranked by that token
 * (SentencePiece BPE by falling score, tiktoken by rising rank).
 * @param rankOf rank of a token as a product, at least 0; undefined for tokens that are never products
 */
export function rulesFromVocabulary(
  vocab: ReadonlyMap<string, number>,
  rankOf: (token: string, id: number) => number | undefined,
): PairTable {
  const rules = new PairTable(vocab.size * 2);
  for (const [token, id] of vocab) {
    if (token.length < 2) continue;
    const rank = rankOf(token, id);
    if (rank === undefined) continue;
    for (let cut = 1; cut < token.length; cut++) {
      const left = vocab.get(token.slice(0, cut));
      if (left === undefined) continue;
      const right = vocab.get(token.slice(cut));
      if (right !== undefined) rules.set(left, right, rank, id);
    }
  }
  return rules;
}
