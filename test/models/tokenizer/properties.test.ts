import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../src/contracts/index.js';
import { byteTokenizer, StreamDecoder, tokenizerFromJson, trainByteLevelBpe } from '../../../src/models/tokenizer/index.js';
import { mergeSymbols } from '../../../src/models/tokenizer/merge.js';
import { PairTable } from '../../../src/models/tokenizer/pairTable.js';
import { PieceCache } from '../../../src/models/tokenizer/pieceCache.js';
import { fixture } from './shared.js';

const tinyJson = JSON.parse(fixture('tiny.json')) as Record<string, unknown>;
const corpus = "the cat sat on the mat; it was the cat's mat. 12345 and 2024, naïve Straße.\r\n\r\n".repeat(20);
const tokenizers: readonly (readonly [string, Tokenizer])[] = [
  ['bytes', byteTokenizer()],
  ['bytes with special tokens', byteTokenizer({ special_tokens: ['<s>', '</s>'] })],
  ['tiny', tokenizerFromJson(tinyJson)],
  ['llama3 pattern', trainByteLevelBpe([corpus], { vocab_size: 320, pattern: 'llama3' })],
  ['o200k pattern', trainByteLevelBpe([corpus], { vocab_size: 300, pattern: 'o200k' })],
];
const unicode = fc.string({ unit: 'grapheme', maxLength: 60 });
const english = fc
  .array(fc.constantFrom('the', ' cat', " it's", '\n', '  ', ' 123', '!', 'é', '<s>', '\t', '\u0085', '🙂'), { maxLength: 40 })
  .map((parts) => parts.join(''));
const texts = fc.oneof(unicode, english);

describe.each(tokenizers)('%s', (_name, tokenizer) => {
  it('decodes what it encodes', () => {
    fc.assert(fc.property(texts, (text) => tokenizer.decode(tokenizer.encode(text)) === text));
  });

  it('has tokens whose bytes are the bytes of the text, and ids below vocab_size', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const ids = Array.from(tokenizer.encode(text));
        const special = ids.filter((id) => tokenizer.tokenBytes(id).length === 0);
        if (special.length === 0)
          expect(Buffer.concat(ids.map((id) => tokenizer.tokenBytes(id))).toString('hex')).toBe(Buffer.from(text).toString('hex'));
        for (const id of ids) expect(id).toBeLessThan(tokenizer.vocab_size);
      }),
    );
  });

  it('streams any ids to what decode gives, in whole characters', () => {
    const ids = fc.array(fc.nat(tokenizer.vocab_size - 1), { maxLength: 30 });
    fc.assert(
      fc.property(
        fc.oneof(
          ids,
          texts.map((text) => Array.from(tokenizer.encode(text))),
        ),
        (list) => {
          const stream = new StreamDecoder(tokenizer);
          const parts = list.map((id) => stream.push(id));
          expect(parts.join('') + stream.end()).toBe(tokenizer.decode(list));
        },
      ),
    );
  });
});

it('a stream holds back the bytes of an unfinished character', () => {
  const stream = new StreamDecoder(byteTokenizer());
  expect([...Buffer.from('é🙂')].map((byte) => stream.push(byte))).toEqual(['', 'é', '', '', '', '🙂']);
  stream.push(0xf0);
  expect(stream.end()).toBe('\ufffd');
  expect(stream.push(0x61)).toBe('a');
});

/** The rule of lowest rank, leftmost, again and again. */
function naiveMerge(symbols: readonly number[], rules: PairTable): number[] {
  const out = [...symbols];
  for (;;) {
    let best = -1;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < out.length; i++) {
      const rule = rules.find(out[i] as number, out[i + 1] as number);
      if (rule >= 0 && rules.rank(rule) < bestRank) {
        bestRank = rules.rank(rule);
        best = i;
      }
    }
    if (best < 0) return out;
    out.splice(best, 2, rules.product(rules.find(out[best] as number, out[best + 1] as number)));
  }
}

describe('merging', () => {
  const ruleList = fc.array(fc.tuple(fc.nat(9), fc.nat(9), fc.nat(6), fc.nat(9)), { maxLength: 40 });

  it('short and long pieces follow the definition, with ties of rank', () => {
    fc.assert(
      fc.property(ruleList, fc.array(fc.nat(5), { maxLength: 300 }), (list, symbols) => {
        const rules = new PairTable();
        for (const [left, right, rank, product] of list) rules.set(left, right, rank, product);
        expect(mergeSymbols([...symbols], rules)).toEqual(naiveMerge(symbols, rules));
      }),
    );
  });

  it('a table of rules equals a map', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(50), fc.nat(50), fc.nat(), fc.nat()), { maxLength: 400 }), (list) => {
        const rules = new PairTable();
        const map = new Map<string, [number, number]>();
        for (const [left, right, rank, product] of list) {
          rules.set(left, right, rank, product);
          map.set(`${left},${right}`, [rank, product]);
        }
        expect(rules.size).toBe(map.size);
        for (let left = 0; left <= 50; left++)
          for (let right = 0; right <= 50; right += 7) {
            const handle = rules.find(left, right);
            expect(handle < 0 ? undefined : [rules.rank(handle), rules.product(handle)]).toEqual(map.get(`${left},${right}`));
          }
      }),
      { numRuns: 30 },
    );
  });
});

it('a cache of pieces stays within its bound and never gives wrong ids', () => {
  const cache = new PieceCache(8);
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 200 }), (keys) => {
      for (const key of keys) {
        const piece = `piece number ${key} of them`;
        const hit = cache.get(piece);
        if (hit !== undefined) expect(hit).toEqual(key % 2 === 0 ? key : Int32Array.of(key, 7));
        else cache.set(piece, key % 2 === 0 ? [key] : [key, 7]);
        expect(cache.size).toBeLessThanOrEqual(16);
      }
    }),
  );
});

it('training finds the most frequent pairs first', () => {
  const trained = trainByteLevelBpe(['abab abab abab cdcd cd'], { vocab_size: 260, pattern: '\\S+|\\s+' });
  const { merges } = trained.toJson().model as { merges: [string, string][] };
  // a b: 6 times; then ab ab: 3; then c d: 3 (ties go to lower ids, and ab is newer than c)
  expect(merges.slice(0, 3)).toEqual([
    ['a', 'b'],
    ['c', 'd'],
    ['ab', 'ab'],
  ]);
});

it('training refuses settings that cannot be met', () => {
  const train = (options: Parameters<typeof trainByteLevelBpe>[1]) => () => trainByteLevelBpe(['a'], options);
  expect(train({ vocab_size: 255 })).toThrow(/vocab_size is 255/);
  expect(train({ vocab_size: 300, min_frequency: 0 })).toThrow(/min_frequency is 0/);
  expect(train({ vocab_size: 300, pattern: '(?>a)' })).toThrow(/neither a name/);
  expect(train({ vocab_size: 300, special_tokens: ['<s>', '<s>'] })).toThrow(/must differ/);
  expect(train({ vocab_size: 300, eos_token: '</s>' })).toThrow(/not among special_tokens/);
});

it('training reports its progress and stops where pairs are rare', () => {
  const seen: number[] = [];
  const trained = trainByteLevelBpe(['abc'], { vocab_size: 400, onProgress: (merges) => seen.push(merges) });
  expect(trained.vocab_size).toBe(256);
  expect(seen).toEqual([0]);
});
