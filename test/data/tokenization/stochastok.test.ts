import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../src/contracts/index.js';
import { splitTable } from '../../../src/data/tokenization/splitTable.js';
import { stochastok } from '../../../src/data/tokenization/stochastok.js';
import { trainByteLevelBpe } from '../../../src/models/tokenizer/index.js';
import { uniformOf } from './support.js';

/** A tokenizer of a list of pieces, joined by `decode`. */
const pieces = (list: readonly string[], decode = (parts: readonly string[]): string => parts.join('')): Tokenizer => ({
  vocab_size: list.length,
  bos_token_id: null,
  eos_token_id: null,
  pad_token_id: null,
  fingerprint: list.join(),
  encode: () => new Int32Array(0),
  decode: (ids) => decode(Array.from(ids, (id) => list[id] as string)),
  tokenBytes: (id) => new TextEncoder().encode(list[id]?.startsWith('<') ? '' : list[id]),
  tokenId: (token) => list.indexOf(token),
});

const pairsOf = (tokenizer: Tokenizer, id: number): [number, number][] => {
  const { first, pairs } = splitTable(tokenizer);
  return Array.from({ length: (first[id + 1] as number) - (first[id] as number) }, (_, i) => {
    const at = 2 * ((first[id] as number) + i);
    return [pairs[at] as number, pairs[at + 1] as number];
  });
};

/** The algorithm as the official code has it: a list that is cut and joined at every split. */
function bySplicing(
  splitsOf: readonly (readonly [number, number][])[],
  ids: readonly number[],
  proportion: number,
  uniform: () => number,
): number[] {
  let out = [...ids];
  for (let p = Math.floor(ids.length * proportion); p > 0; p--) {
    const i = Math.floor(uniform() * out.length);
    const splits = splitsOf[out[i] as number] ?? [];
    if (splits.length === 0) continue;
    out = [...out.slice(0, i), ...(splits[Math.floor(uniform() * splits.length)] as [number, number]), ...out.slice(i + 1)];
  }
  return out;
}

describe('split table', () => {
  it('has every pair of pieces that makes a piece, and no other', () => {
    const list = ['a', 'b', 'n', 'an', 'ana', 'na', '<eos>', 'banana', 'ban', 'ana'];
    const tokenizer = pieces(list);
    for (const [id, whole] of list.entries()) {
      // of the two "ana" the last counts as a part
      const usable = list.flatMap((p, i) => (p.startsWith('<') || i === 4 ? [] : [i]));
      const expected = usable.flatMap((a) => usable.flatMap((b) => (`${list[a]}${list[b]}` === whole ? [[a, b]] : [])));
      expect(pairsOf(tokenizer, id).sort()).toEqual(expected.sort());
    }
    expect(pairsOf(tokenizer, 7)).toEqual([[8, 9]]);
  });

  it('holds every merge of a trained vocabulary', () => {
    const tokenizer = trainByteLevelBpe(['low lower lowest newer wider new wide'], { vocab_size: 280 });
    const { first } = splitTable(tokenizer);
    for (let id = 256; id < tokenizer.vocab_size; id++) expect((first[id + 1] as number) - (first[id] as number)).toBeGreaterThan(0);
    for (let id = 0; id < 256; id++) expect(first[id]).toBe(0);
  });

  it('leaves out pairs that are joined by more than their bytes', () => {
    // as in WordPiece, a piece without the mark begins a word
    const decode = (parts: readonly string[]): string =>
      parts.map((p, i) => (p.startsWith('##') ? p.slice(2) : i > 0 ? ` ${p}` : p)).join('');
    expect(pairsOf(pieces(['##i', 'ng', '##ing', '##'], decode), 2)).toEqual([]);
    expect(pairsOf(pieces(['##i', 'ng', '##ing', '##']), 2)).toEqual([[0, 1]]);
  });
});

describe('stochastok', () => {
  it('draws the sequences of the official algorithm, equally often', () => {
    const tokenizer = pieces(['a', 'b', 'c', 'ab', 'bc', 'abc']);
    const ids = Int32Array.from([5, 3]);
    const { rewrite } = stochastok.create(tokenizer, { expand_prop: 1.5 });
    const splits = Array.from({ length: tokenizer.vocab_size }, (_, id) => pairsOf(tokenizer, id));
    const samples = 20000;
    const count = (draw: () => ArrayLike<number>): Map<string, number> => {
      const counts = new Map<string, number>();
      for (let i = 0; i < samples; i++) {
        const drawn = Array.from(draw()).join();
        counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
      }
      return counts;
    };
    const [one, two] = [uniformOf(1), uniformOf(2)];
    const ours = count(() => rewrite(ids, one));
    const theirs = count(() => bySplicing(splits, [...ids], 1.5, two));
    expect(new Set(ours.keys())).toEqual(new Set(theirs.keys()));
    expect(ours.size).toBeGreaterThan(6);
    for (const [drawn, n] of ours) {
      const p = (n + (theirs.get(drawn) as number)) / (2 * samples);
      // five standard deviations of the difference of two binomial counts
      expect(Math.abs(n - (theirs.get(drawn) as number))).toBeLessThan(5 * Math.sqrt(2 * samples * p * (1 - p)));
    }
  });

  it('keeps the order of the parts where parts are split again', () => {
    const tokenizer = pieces(['a', 'b', 'c', 'd', 'ab', 'cd', 'abcd']);
    const { rewrite } = stochastok.create(tokenizer, { expand_prop: 20 });
    const out = rewrite(Int32Array.from([6, 3, 4]), uniformOf(5));
    expect([...out]).toEqual([0, 1, 2, 3, 3, 0, 1]);
  });

  it('takes time in proportion to the text', () => {
    const tokenizer = pieces(['a', 'aa', 'aaaa']);
    const { rewrite } = stochastok.create(tokenizer, { expand_prop: 0.5 });
    // cutting and joining a list of a million tokens half a million times would not end within the test's time
    const { length } = rewrite(new Int32Array(1_000_000).fill(2), uniformOf(1));
    expect(length).toBeGreaterThan(1_400_000);
    expect(length).toBeLessThan(1_500_000);
  });

  it('refuses a proportion that is none and ids beyond the vocabulary', () => {
    for (const expand_prop of [-0.1, Number.NaN, 101, 'much'])
      expect(() => stochastok.create(pieces(['a', 'aa']), { expand_prop })).toThrow(/expand_prop/);
    expect(() => stochastok.create(pieces(['a', 'aa']), { expand_prop: 1 }).rewrite(Int32Array.of(9), uniformOf(1))).toThrow(/id 9/);
  });
});
