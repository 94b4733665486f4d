import type { Method, Settings, Tokenizer } from '../../contracts/index.js';

/**
 * The slot "tokenization": which of the many token sequences of a text training sees. Runs on the host between the token stream and the batch;
 * validation always sees the tokenizer's own sequence.
 */

/** The slot, for the generated index. */
export const slot = { id: 'tokenization', record: 'tokenizations', summary: 'which token sequence of a text training sees' } as const;

/** A uniform random number generator in [0, 1), seeded by (run seed, step, row). */
export type Uniform = () => number;

/** Rewrites token sequences of training; made once a run. */
export interface Retokenizer {
  /** Ids that decode to the same text. May be longer or shorter; the caller packs and cuts. */
  rewrite(ids: Int32Array, uniform: Uniform): Int32Array;
  /** Mean length of a rewritten sequence over that of the original, so that the caller reads enough tokens ahead. At least 1. */
  readonly growth: number;
}

export interface TokenizationMethod extends Method {
  create(tokenizer: Tokenizer, settings: Settings): Retokenizer;
}
