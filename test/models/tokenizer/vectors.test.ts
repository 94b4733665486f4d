import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../src/contracts/index.js';
import {
  type TiktokenRanks,
  tokenizerFromGgufMetadata,
  tokenizerFromJson,
  tokenizerFromLlama2c,
  tokenizerFromSentencePiece,
  tokenizerFromTiktoken,
  vocabularyAsJson,
} from '../../../src/models/tokenizer/index.js';
import { ggufMetadata, hasShared, sharedBytes, sharedJson, sharedText, testVectors } from './shared.js';

const loaded = new Map<string, Tokenizer>();
const json = (path: string): Tokenizer => {
  const tokenizer = loaded.get(path) ?? tokenizerFromJson(sharedJson(`tokenizers/${path}`));
  loaded.set(path, tokenizer);
  return tokenizer;
};
const gguf = async (name: string): Promise<Tokenizer> => tokenizerFromGgufMetadata(await ggufMetadata(name));
const gpt2Files = (): Tokenizer =>
  tokenizerFromJson(vocabularyAsJson(sharedJson('tokenizers/gpt2/encoder.json.gz'), sharedText('tokenizers/gpt2/vocab.bpe.gz')));

// no vocabulary of chameleon, command-r, deepseek-llm, llama-bpe and roberta-bpe is at hand
const cases: readonly (readonly [vectors: string, source: string, load: () => Tokenizer | Promise<Tokenizer>])[] = [
  ['bert-bge', 'tokenizer.json', () => json('bert/tokenizer.json.gz')],
  ['bert-bge', 'gguf', () => gguf('bert-bge')],
  ['deepseek-coder', 'gguf', () => gguf('deepseek-coder')],
  ['deepseek-r1-qwen', 'tokenizer.json of qwen3', () => json('qwen3/tokenizer.json.gz')],
  ['falcon', 'gguf', () => gguf('falcon')],
  ['gpt-2', 'vocab.json and merges.txt', gpt2Files],
  ['gpt-2', 'gguf', () => gguf('gpt-2')],
  ['llama-spm', 'gguf', () => gguf('llama-spm')],
  ['llama-spm', 'tokenizer.model', () => tokenizerFromSentencePiece(sharedBytes('tokenizers/llama2/tokenizer.model'))],
  ['llama-spm', 'tokenizer.bin', () => tokenizerFromLlama2c(sharedBytes('tokenizers/llama2/tokenizer.bin'))],
  ['mpt', 'gguf', () => gguf('mpt')],
  ['mpt', 'tokenizer.json of gpt-neox', () => json('gpt-neox/20B_tokenizer.json.gz')],
  ['phi-3', 'gguf', () => gguf('phi-3')],
  ['phi-3', 'tokenizer.json', () => json('phi3/tokenizer.json.gz')],
  ['qwen2', 'tokenizer.json of qwen3', () => json('qwen3/tokenizer.json.gz')],
  ['refact', 'gguf', () => gguf('refact')],
  ['starcoder', 'gguf', () => gguf('starcoder')],
];

describe.skipIf(!hasShared)('ids of the llama.cpp test vectors', () => {
  it.each(cases)('%s from %s', async (name, _source, load) => {
    const tokenizer = await load();
    const vectors = testVectors(name);
    expect(vectors.length).toBe(46);
    const got = vectors.map(({ text }) => ({ text, ids: Array.from(tokenizer.encode(text)) }));
    expect(got).toEqual(vectors);
  });
});

describe.skipIf(!hasShared)('tiktoken ranks', () => {
  // "hello world" and "antidisestablishmentarianism" as tiktoken's documentation and its users print them
  it.each([
    ['cl100k_base', [15339, 1917], 100277],
    ['o200k_base', [24912, 2375], 200019],
  ] as const)('%s', (name, hello, vocabSize) => {
    const ranks = sharedJson(`tokenizers/tiktoken/${name}.json.gz`) as TiktokenRanks;
    const tokenizer = tokenizerFromTiktoken(ranks);
    expect(Array.from(tokenizer.encode('hello world'))).toEqual(hello);
    expect(tokenizer.vocab_size).toBe(vocabSize);
    expect(Array.from(tokenizer.encode('<|endoftext|>'))).toEqual([tokenizer.eos_token_id]);
    const text = "It's 2024: naïve 日本語, don't!\n\n  def f(x):\n\treturn x**2 🙂";
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

describe.skipIf(!hasShared)('the tokenizer of stories260K', () => {
  it('spells a story in pieces of its 512 tokens', () => {
    const tokenizer = tokenizerFromLlama2c(sharedBytes('models/stories260K/tok512.bin'));
    expect([tokenizer.vocab_size, tokenizer.bos_token_id, tokenizer.eos_token_id]).toEqual([512, 1, 2]);
    const text = 'Once upon a time, there was a girl. ✅';
    const ids = tokenizer.encode(text, { add_special_tokens: true });
    expect(ids[0]).toBe(1);
    expect(tokenizer.decode(ids, { skip_special_tokens: true })).toBe(text);
  });
});
