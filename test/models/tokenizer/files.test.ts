import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, saveTokenizer, tokenizerFromJson, vocabularyAsJson } from '../../../src/models/tokenizer/index.js';
import { LibraryTokenizer } from '../../../src/models/tokenizer/libraryTokenizer.js';
import { VitroError } from '../../../src/tensor/errors.js';
import { fixture } from './shared.js';

const tinyJson = JSON.parse(fixture('tiny.json')) as {
  added_tokens: unknown[];
  model: { vocab: Record<string, number>; merges: [string, string][] };
};
const config = { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '<|endoftext|>', chat_template: 'x' };
const text = 'First Citizen:\nBefore we proceed any further, hear me speak.';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('folders', () => {
  it('saves and loads the same tokenizer, and leaves no drafts', async () => {
    const tiny = tokenizerFromJson(tinyJson, config);
    const path = join(folder, 'saved');
    await saveTokenizer(path, tiny);
    expect(readdirSync(path).sort()).toEqual(['tokenizer.json', 'tokenizer_config.json']);
    const again = await loadTokenizer(path);
    expect(again.encode(text)).toEqual(tiny.encode(text));
    expect([again.fingerprint, again.eos_token_id, again.config]).toEqual([tiny.fingerprint, 0, config]);
    writeFileSync(join(path, 'chat_template.jinja'), 'from a file');
    expect((await loadTokenizer(join(path, 'tokenizer.json'))).config.chat_template).toBe('from a file');
  });

  it('loads vocab.json with merges.txt', async () => {
    const merges = tinyJson.model.merges.map((pair) => pair.join(' '));
    writeFileSync(join(folder, 'vocab.json'), JSON.stringify(tinyJson.model.vocab));
    await expect(loadTokenizer(folder)).rejects.toThrow(/needs merges.txt/);
    writeFileSync(join(folder, 'merges.txt'), ['#version: 0.2', ...merges, ''].join('\n'));
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer.encode(text)).toEqual(tokenizerFromJson(tinyJson).encode(text));
    expect(tokenizerFromJson(vocabularyAsJson(tinyJson.model.vocab, merges.join('\r\n'))).encode(text)).toEqual(tokenizer.encode(text));
  });

  it('says what is missing', async () => {
    await expect(loadTokenizer(join(folder, 'nowhere'))).rejects.toThrow(/no tokenizer at/);
    const empty = mkdtempSync(join(folder, 'empty-'));
    await expect(loadTokenizer(empty)).rejects.toThrow(/holds no tokenizer; expected one of tokenizer.json/);
    writeFileSync(join(empty, 'tokenizer.json'), '{"model": ');
    await expect(loadTokenizer(empty)).rejects.toThrow(/not valid JSON/);
    writeFileSync(join(empty, 'words.txt'), 'a');
    await expect(loadTokenizer(join(empty, 'words.txt'))).rejects.toThrow(/unknown kind of tokenizer file/);
  });
});

describe('configurations', () => {
  const framed = {
    ...tinyJson,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|endoftext|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<|endoftext|>': { id: '<|endoftext|>', ids: [0], tokens: ['<|endoftext|>'] } },
    },
  };
  const ids = (json: unknown, settings: unknown): number[] =>
    Array.from(tokenizerFromJson(json, settings).encode('a', { add_special_tokens: true }));
  const a = tinyJson.model.vocab.a as number;

  it('adds what the post-processor, or for Llama classes the configuration, says', () => {
    expect(ids(framed, {})).toEqual([0, a]);
    expect(Array.from(tokenizerFromJson(framed).encode('a'))).toEqual([a]);
    const llama = { tokenizer_class: 'LlamaTokenizerFast', bos_token: { content: '<|endoftext|>' }, eos_token: '<|endoftext|>' };
    expect(ids(framed, { ...llama, add_bos_token: false, add_eos_token: true })).toEqual([a, 0]);
    expect(() => ids(framed, { ...llama, add_bos_token: true, bos_token: '<s>' })).toThrow(/bos_token "<s>" is not in the vocabulary/);
  });

  it('takes special tokens from special_tokens_map.json and adds those of added_tokens_decoder', () => {
    expect(tokenizerFromJson(tinyJson, {}, { pad_token: '<|endoftext|>' }).pad_token_id).toBe(0);
    const more = tokenizerFromJson(tinyJson, { added_tokens_decoder: { '512': { content: '<pad>', special: true } }, pad_token: '<pad>' });
    expect([more.pad_token_id, more.vocab_size, Array.from(more.encode('<pad>'))]).toEqual([512, 513, [512]]);
  });

  it('gives pipelines that it does not state to the library', () => {
    const words = tokenizerFromJson({
      ...tinyJson,
      added_tokens: [],
      pre_tokenizer: { type: 'Whitespace' },
      decoder: null,
      model: { type: 'WordLevel', unk_token: '?', vocab: { '?': 0, hello: 1, world: 2 } },
    });
    expect(words).toBeInstanceOf(LibraryTokenizer);
    expect(Array.from(words.encode('hello big world'))).toEqual([1, 0, 2]);
    expect([words.vocab_size, words.tokenId('world'), words.decode([1, 2, 99])]).toEqual([3, 2, 'hello world']);
    expect(() => tokenizerFromJson({ ...tinyJson, model: { type: 'Oracle' } })).toThrow(VitroError);
  });
});

describe('damaged tokenizer.json', () => {
  it('gives a clear error or a tokenizer that works', () => {
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 0) paths.push(path);
      if (typeof value !== 'object' || value === null) return;
      for (const [key, inner] of Object.entries(value).slice(0, 12)) walk(inner, [...path, key]);
    };
    walk({ ...tinyJson, normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '_' } }, []);
    const junk = fc.constantFrom<unknown>(null, -1, 1e9, 'x', '', [], {}, [1], { type: 'BPE' }, true, 0.5);
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.option(junk, { nil: undefined }), (path, value) => {
        const copy = structuredClone(tinyJson) as unknown as Record<string | number, unknown>;
        let node = copy;
        for (const key of path.slice(0, -1)) node = (node[key] ?? {}) as Record<string | number, unknown>;
        const last = path.at(-1) ?? '';
        if (value === undefined) delete node[last];
        else node[last] = value;
        try {
          tokenizerFromJson(copy).encode('some text', { add_special_tokens: true });
        } catch (error) {
          expect(error).toBeInstanceOf(VitroError);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('names what is wrong', () => {
    const withModel = (model: unknown) => () => tokenizerFromJson({ ...tinyJson, model });
    const { model } = tinyJson;
    expect(() => tokenizerFromJson([])).toThrow(/tokenizer.json is \[\]; expected an object/);
    expect(withModel(undefined)).toThrow(/model is missing/);
    expect(withModel({ ...model, vocab: {} })).toThrow(/vocab is empty/);
    expect(withModel({ ...model, vocab: { a: -1 } })).toThrow(/vocab\["a"\] is -1; expected a token id/);
    expect(withModel({ ...model, merges: [['a', 'nowhere']] })).toThrow(/merge 0 \("a", "nowhere"\)/);
    expect(withModel({ ...model, merges: ['a b c'] })).toThrow(/expected two tokens/);
    expect(withModel({ ...model, unk_token: '<unk>' })).toThrow(/unk_token "<unk>"/);
    expect(() => tokenizerFromJson({ ...tinyJson, added_tokens: [{ id: 1 }] })).toThrow(/added_tokens\[0\].content is missing/);
  });
});
