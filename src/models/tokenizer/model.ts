import type { JsonRecord } from './json.js';

/** The part of a tokenizer that turns one pre-token into ids. */
export interface SubwordModel {
  readonly vocab: ReadonlyMap<string, number>;
  encode(piece: string): number[];
  /** the `model` of a tokenizer.json */
  toJson(): JsonRecord;
}

/**
 * True where a text may be cut before every `mark` that follows another character without changing any id: the mark is a token,
 * and no token has it after another character. No merge and no lattice arc can then cross such a place.
 */
export function mayCutBefore(vocab: ReadonlyMap<string, number>, mark: string): boolean {
  if (!vocab.has(mark)) return false;
  for (const token of vocab.keys()) {
    for (let at = token.indexOf(mark, 1); at > 0; at = token.indexOf(mark, at + 1)) if (token[at - 1] !== mark) return false;
  }
  return true;
}
