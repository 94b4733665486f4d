import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { tokenizerFromJson, trainByteLevelBpe } from '../../../src/models/tokenizer/index.js';
import { precompiledNormalizer } from '../../../src/models/tokenizer/precompiled.js';
import { buildPreTokenizer } from '../../../src/models/tokenizer/preTokenizer.js';
import { translateRegex } from '../../../src/models/tokenizer/regex.js';
import { splitter } from '../../../src/models/tokenizer/split.js';
import { SubwordTokenizer } from '../../../src/models/tokenizer/subwordTokenizer.js';
import { fixture } from './shared.js';

interface Figures {
  readonly texts: readonly string[];
  readonly tiny: readonly number[][];
  readonly merges: readonly unknown[];
  readonly pre_tokenizers: readonly { readonly spec: { readonly type: string }; readonly pieces: readonly string[][] }[];
  readonly patterns: readonly { readonly pattern: string; readonly pieces: readonly string[][] }[];
  readonly added: { readonly tokens: unknown; readonly texts: readonly string[]; readonly ids: number[][]; readonly decoded: string[] };
  readonly precompiled: { readonly charsmap: string; readonly inputs: readonly string[]; readonly outputs: readonly string[] };
  readonly unigram: readonly number[][];
}

const figures = JSON.parse(fixture('figures.json')) as Figures;
const tinyJson = JSON.parse(fixture('tiny.json')) as Record<string, unknown>;
const notEmpty = figures.texts.filter((text) => text !== '');

describe("figures of Python's tokenizers", () => {
  it('gives the ids of a byte-level vocabulary', () => {
    const tiny = tokenizerFromJson(tinyJson);
    expect(tiny).toBeInstanceOf(SubwordTokenizer);
    expect(figures.texts.map((text) => Array.from(tiny.encode(text)))).toEqual(figures.tiny);
  });

  it.each(figures.pre_tokenizers.map((p) => [JSON.stringify(p.spec).slice(0, 120), p] as const))(
    'cuts as %s',
    (_name, { spec, pieces }) => {
      const pre = buildPreTokenizer(spec);
      const got = notEmpty.map((text) => {
        const out: string[] = [];
        pre?.cut(text, true, (piece) => out.push(...pre.finish(piece)));
        return out;
      });
      expect(got).toEqual(pieces);
    },
  );

  it.each(figures.patterns.map((p) => [p.pattern, p.pieces] as const))('matches %s', (pattern, pieces) => {
    const regex = translateRegex(pattern);
    if (!regex) throw new Error('not translated');
    const got = notEmpty.map((text) => {
      const out: string[] = [];
      splitter(regex, 'Isolated')(text, (piece) => out.push(piece));
      return out;
    });
    expect(got).toEqual(pieces);
  });

  it('finds added tokens', () => {
    const tokenizer = tokenizerFromJson({ ...tinyJson, normalizer: { type: 'NFC' }, added_tokens: figures.added.tokens });
    expect(figures.added.texts.map((text) => Array.from(tokenizer.encode(text)))).toEqual(figures.added.ids);
    const decoded = figures.added.ids.map((ids) => tokenizer.decode(ids));
    // Python reads the letter é of an added token as the byte E9
    expect(decoded.map((text) => text.replaceAll('café', 'caf\ufffd'))).toEqual(figures.added.decoded);
  });

  it('normalizes by a precompiled character map', () => {
    const normalize = precompiledNormalizer(figures.precompiled.charsmap);
    expect(figures.precompiled.inputs.map(normalize)).toEqual(figures.precompiled.outputs);
  });

  it('gives the ids of a unigram vocabulary', () => {
    const unigram = tokenizerFromJson(JSON.parse(fixture('unigram.json')));
    expect(unigram).toBeInstanceOf(SubwordTokenizer);
    expect(figures.texts.map((text) => Array.from(unigram.encode(text)))).toEqual(figures.unigram);
  });

  it('trains the same merges', () => {
    const text = gunzipSync(readFileSync(new URL('../../../assets/tinyshakespeare.txt.gz', import.meta.url))).toString();
    const trained = trainByteLevelBpe([text], { vocab_size: 512, special_tokens: ['<|endoftext|>'], eos_token: '<|endoftext|>' });
    expect((trained.toJson().model as { merges: unknown }).merges).toEqual(figures.merges);
    expect(trained.toJson()).toEqual(tinyJson);
  });
});

describe('patterns that JavaScript cannot state', () => {
  it.each(['(?>a)', '[a[b]]', '[a&&b]', '\\bword', '(a', 'a)', '(?i:é)', '\\1', '[z-a]', '*a'])('%s gives null', (pattern) => {
    expect(translateRegex(pattern)).toBeNull();
  });
});
