import type { Tokenizer } from '../../contracts/index.js';

/** Every way to write a token as two others: those of token v are pairs number first[v] ... first[v + 1] - 1. */
export interface SplitTable {
  /** i32 [vocab_size + 1] */
  readonly first: Int32Array;
  /** i32 [2 pairs]: left and right id of each pair */
  readonly pairs: Int32Array;
}

/** Bytes as a string of equal length, to look them up. */
const keyOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Longer tokens (runs of blanks in some vocabularies) keep their one form: no table of splits needs them. */
const longest = 256;

/**
 * All pairs (a, b) of ids whose bytes together are those of a token, and which decode to the same text. Tokens without bytes (special tokens)
 * take no part. Of several ids with equal bytes the last one counts: in SentencePiece vocabularies the byte fallbacks come first.
 * Takes about a second for 50,000 tokens.
 */
export function splitTable(tokenizer: Tokenizer): SplitTable {
  const { vocab_size } = tokenizer;
  const texts = Array.from({ length: vocab_size }, (_, id) => {
    const bytes = tokenizer.tokenBytes(id);
    return bytes.length <= longest ? keyOf(bytes) : '';
  });
  const ids = new Map(texts.flatMap((text, id) => (text === '' ? [] : [[text, id] as const])));
  const first = new Int32Array(vocab_size + 1);
  const pairs: number[] = [];
  for (const [id, text] of texts.entries()) {
    let whole: string | undefined;
    for (let cut = 1; cut < text.length; cut++) {
      const left = ids.get(text.slice(0, cut));
      const right = left === undefined ? undefined : ids.get(text.slice(cut));
      if (left === undefined || right === undefined) continue;
      whole ??= tokenizer.decode([id]);
      // vocabularies whose tokens are joined by more than their bytes (WordPiece) have pairs that look right and are not
      if (tokenizer.decode([left, right]) === whole) pairs.push(left, right);
    }
    first[id + 1] = pairs.length / 2;
  }
  return { first, pairs: Int32Array.from(pairs) };
}
