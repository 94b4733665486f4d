import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../src/contracts/index.js';
import { type TokenizationMethod, tokenizations } from '../../../src/data/tokenization/index.js';
import { byteTokenizer, loadTokenizer, tokenizerFromJson, trainByteLevelBpe } from '../../../src/models/tokenizer/index.js';
import { uniformOf } from './support.js';

const texts = ['the theatre there, the bananas and the bandana', 'a cabana — naïve ☕ bananas 🍌🍌', 'then they bathe in the bath'];
const tokenizers: readonly (readonly [string, Tokenizer])[] = [
  ['bytes', byteTokenizer()],
  ['byte-level BPE', trainByteLevelBpe(texts, { vocab_size: 300, special_tokens: ['<|endoftext|>'] })],
];

describe.each(Object.values(tokenizations))('$id', (method: TokenizationMethod) => {
  it('states its family: a known parent, JSON defaults, a line for a setting that exists', () => {
    if (method.parent !== undefined) expect(Object.keys(tokenizations)).toContain(method.parent);
    expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
    for (const name of Object.keys(method.knobs ?? {})) expect(Object.keys(method.defaults)).toContain(name);
    if (method.parent) expect(method.limits.length).toBeGreaterThan(0);
  });

  describe.each(tokenizers)('with %s', (_, tokenizer) => {
    const own = method.create(tokenizer, method.defaults);
    const anyIds = fc.array(fc.integer({ min: 0, max: tokenizer.vocab_size - 1 }), { maxLength: 80 }).map((ids) => Int32Array.from(ids));

    it('keeps the text of any ids, the ids within the vocabulary, and its input as it was', () => {
      fc.assert(
        fc.property(anyIds, fc.integer({ min: 0, max: 1e6 }), (ids, seed) => {
          const before = [...ids];
          const rewritten = own.rewrite(ids, uniformOf(seed));
          expect([...ids]).toEqual(before);
          expect(tokenizer.decode(rewritten)).toBe(tokenizer.decode(ids));
          for (const id of rewritten) expect(id >= 0 && id < tokenizer.vocab_size).toBe(true);
        }),
      );
    });

    it('gives the same for the same uniform numbers', () => {
      fc.assert(
        fc.property(anyIds, fc.integer({ min: 0, max: 1e6 }), (ids, seed) => {
          expect(own.rewrite(ids, uniformOf(seed))).toEqual(own.rewrite(ids, uniformOf(seed)));
        }),
        { numRuns: 20 },
      );
    });

    it('grows no more than it states', () => {
      expect(own.growth).toBeGreaterThanOrEqual(1);
      fc.assert(
        fc.property(anyIds, fc.integer({ min: 0, max: 1e6 }), (ids, seed) => {
          expect(own.rewrite(ids, uniformOf(seed)).length).toBeLessThanOrEqual(Math.ceil(ids.length * own.growth));
        }),
        { numRuns: 30 },
      );
    });

    it('rewrites nothing to nothing', () => {
      expect(own.rewrite(new Int32Array(0), uniformOf(1)).length).toBe(0);
    });
  });

  it.each(method.limits.map((l) => [JSON.stringify(l.settings), l] as const))(
    'equals its parent at %s and not at its defaults',
    (_, limit) => {
      const parent = tokenizations[method.parent ?? ''] as TokenizationMethod;
      const [, tokenizer] = tokenizers[1] as (typeof tokenizers)[1];
      const ids = tokenizer.encode(texts.join(' '));
      const rewrite = (m: TokenizationMethod, settings = {}): Int32Array =>
        m.create(tokenizer, { ...m.defaults, ...settings }).rewrite(ids, uniformOf(7));
      expect(rewrite(method, limit.settings)).toEqual(rewrite(parent));
      expect(rewrite(method)).not.toEqual(rewrite(parent));
    },
  );
});

const shared = join(process.env.VITRO_SHARED ?? join(import.meta.dirname, '../../../../shared/data'), 'tokenizers');
const json = (name: string): Tokenizer =>
  tokenizerFromJson(JSON.parse(gunzipSync(readFileSync(join(shared, name, 'tokenizer.json.gz'))).toString()));

describe.skipIf(!existsSync(shared))('vocabularies of the field (need the shared data)', () => {
  it.each([
    ['gpt2 (byte-level)', () => json('gpt2'), true],
    ['llama2 (SentencePiece)', async () => loadTokenizer(join(shared, 'llama2/tokenizer.model')), true],
    ['bert (WordPiece)', () => json('bert'), false],
  ])('%s: splits keep the text', async (_, load, isSplit) => {
    const tokenizer = await load();
    const { rewrite } = (tokenizations.stochastok as TokenizationMethod).create(tokenizer, { expand_prop: 0.5 });
    const ids = tokenizer.encode('How many letters r are in strawberry? Unbelievably, three; naïvely counted.');
    const rewritten = rewrite(ids, uniformOf(3));
    expect(tokenizer.decode(rewritten)).toBe(tokenizer.decode(ids));
    if (isSplit) expect(rewritten.length).toBeGreaterThan(1.2 * ids.length);
  });
});
