import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../src/contracts/index.js';
import {
  tokenizerFromGgufMetadata,
  tokenizerFromJson,
  tokenizerFromLlama2c,
  tokenizerFromSentencePiece,
  vocabularyAsJson,
} from '../../../src/models/tokenizer/index.js';
import { ggufMetadata, hasShared, sharedBytes, sharedJson, sharedText, testVectors } from './shared.js';

const json = (folder: string): Tokenizer => tokenizerFromJson(sharedJson(`tokenizers/${folder}`));
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
