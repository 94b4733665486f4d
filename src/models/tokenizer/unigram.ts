import { VitroError } from '../../tensor/errors.js';
import { byteToken, utf8 } from './bytes.js';
import type { JsonRecord } from './json.js';
import type { SubwordModel } from './model.js';

/** Log-probability that an unknown character costs below the rarest token (SentencePiece's constant). */
const unknownPenalty = 10;

export interface UnigramOptions {
  /** [token, log-probability] by id */
  readonly pieces: readonly (readonly [string, number])[];
  readonly unk_id: number | null;
  readonly byte_fallback: boolean;
  /** ids that never stand for text, e.g. control tokens */
  readonly silent?: ReadonlySet<number>;
}

/** Unigram language model: the segmentation of highest total log-probability, by Viterbi (Kudo 2018, arXiv:1804.10959). */
export class UnigramModel implements SubwordModel {
  readonly vocab: ReadonlyMap<string, number>;
  readonly #scores = new Map<string, number>();
  readonly #longest: number;
  readonly #unknownScore: number;
  readonly #byteIds: readonly (number | undefined)[];

  constructor(readonly options: UnigramOptions) {
    const vocab = new Map<string, number>();
    let longest = 1;
    let lowest = 0;
    for (const [id, [token, score]] of options.pieces.entries()) {
      if (!vocab.has(token)) vocab.set(token, id);
      if (!Number.isFinite(score)) throw new VitroError(`the score of token ${id} (${JSON.stringify(token)}) is ${score}`);
      lowest = Math.min(lowest, score);
      if (token === '' || options.silent?.has(id) || this.#scores.has(token)) continue;
      this.#scores.set(token, score);
      longest = Math.max(longest, token.length);
    }
    if (options.unk_id !== null && options.unk_id >= options.pieces.length)
      throw new VitroError(`unk_id ${options.unk_id} lies outside of a vocabulary of ${options.pieces.length} tokens`);
    this.vocab = vocab;
    this.#longest = longest;
    this.#unknownScore = lowest - unknownPenalty;
    this.#byteIds = Array.from({ length: 256 }, (_, byte) => vocab.get(byteToken(byte)));
  }

  encode(piece: string): number[] {
    const n = piece.length;
    const best = new Float64Array(n + 1).fill(Number.NEGATIVE_INFINITY);
    const from = new Int32Array(n + 1).fill(-1);
    const known = new Uint8Array(n + 1);
    best[0] = 0;
    for (let start = 0; start < n; start++) {
      const base = best[start] as number;
      if (base === Number.NEGATIVE_INFINITY) continue;
      const single = (piece.codePointAt(start) ?? 0) > 0xffff ? 2 : 1;
      let hasSingle = false;
      for (let length = 1; length <= this.#longest && start + length <= n; length++) {
        const score = this.#scores.get(piece.slice(start, start + length));
        if (score === undefined) continue;
        if (length === single) hasSingle = true;
        const end = start + length;
        if (base + score > (best[end] as number)) {
          best[end] = base + score;
          from[end] = start;
          known[end] = 1;
        }
      }
      const end = start + single;
      if (!hasSingle && base + this.#unknownScore > (best[end] as number)) {
        best[end] = base + this.#unknownScore;
        from[end] = start;
        known[end] = 0;
      }
    }
    const cuts: number[] = [];
    for (let at = n; at > 0; at = from[at] as number) cuts.push(at);
    return this.#ids(piece, cuts.reverse(), known);
  }

  /** Runs of unknown characters are one unknown token, or their bytes. */
  #ids(piece: string, ends: readonly number[], known: Uint8Array): number[] {
    const out: number[] = [];
    let start = 0;
    for (const [i, end] of ends.entries()) {
      if (known[end]) out.push(this.vocab.get(piece.slice(start, end)) as number);
      else {
        const next = ends[i + 1];
        if (next !== undefined && !known[next]) continue;
        this.#spell(piece.slice(start, end), out);
      }
      start = end;
    }
    return out;
  }

  #spell(text: string, out: number[]): void {
    const ids = this.options.byte_fallback ? Array.from(utf8(text), (byte) => this.#byteIds[byte]) : [undefined];
    if (ids.every((id) => id !== undefined)) out.push(...ids);
    else if (this.options.unk_id !== null) out.push(this.options.unk_id);
    else throw new VitroError(`${JSON.stringify(text)} has no tokens, and the vocabulary has no unknown token`);
  }

  toJson(): JsonRecord {
    const { unk_id, pieces, byte_fallback } = this.options;
    return { type: 'Unigram', unk_id, vocab: pieces, byte_fallback };
  }
}
