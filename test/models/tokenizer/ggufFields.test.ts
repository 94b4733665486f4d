import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { GgufField } from '../../../src/models/checkpoint/ggufTypes.js';
import {
  byteTokenizer,
  ggufFieldsOfTokenizer,
  llama2cVocabulary,
  tokenizerFromGgufMetadata,
  tokenizerFromJson,
  tokenizerFromLlama2c,
} from '../../../src/models/index.js';
import { ggufMetadata, hasShared, sharedBytes, sharedJson } from './shared.js';

const plain = (fields: Readonly<Record<string, GgufField>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.value]));

const texts = ['', 'Hello world', ' two  spaces\n\nand lines', "it's 3.14159 and 2024!", 'Grüße, 日本語, 🙂', '\tdef f(x):\n\t\treturn x'];

describe('a tokenizer as GGUF metadata', () => {
  it('of bytes gives the same ids again, fills up to the size of the model, and keeps special tokens', () => {
    const own = byteTokenizer({ special_tokens: ['<s>', '</s>'], bos_token: '<s>', eos_token: '</s>' });
    const fields = ggufFieldsOfTokenizer(own, 300);
    expect(fields['tokenizer.ggml.tokens']?.value).toHaveLength(300);
    const again = tokenizerFromGgufMetadata(plain(fields));
    expect([again.bos_token_id, again.eos_token_id]).toEqual([256, 257]);
    for (const text of [...texts, 'a</s>b']) expect([...again.encode(text)]).toEqual([...own.encode(text)]);
  });

  it('is refused where llama.cpp cannot cut text like it, or does not know the kind', () => {
    const json = { model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] }, decoder: { type: 'ByteLevel' } };
    const odd = {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: 'q+' }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', use_regex: false, add_prefix_space: false },
      ],
    };
    expect(() => ggufFieldsOfTokenizer(tokenizerFromJson({ ...json, pre_tokenizer: odd }))).toThrow(
      /no pre-tokenizer that cuts text by \["q\+"\]/,
    );
    const unigram: unknown = JSON.parse(readFileSync(new URL('../../../fixtures/tokenizer/unigram.json', import.meta.url), 'utf8'));
    expect(() => ggufFieldsOfTokenizer(tokenizerFromJson(unigram))).toThrow(/type Unigram cannot be written/);
  });

  it.skipIf(!hasShared).each(['gpt-2', 'llama-spm', 'phi-3', 'starcoder'])('of %s keeps the ids of llama.cpp', async (name) => {
    const own = tokenizerFromGgufMetadata(await ggufMetadata(name));
    const fields = ggufFieldsOfTokenizer(own);
    const again = tokenizerFromGgufMetadata(plain(fields));
    for (const text of texts) {
      expect([...again.encode(text)]).toEqual([...own.encode(text)]);
      expect([...again.encode(text, { add_special_tokens: true })]).toEqual([...own.encode(text, { add_special_tokens: true })]);
    }
  });

  it.skipIf(!hasShared)('of Qwen3 names the pre-tokenizer of its patterns', () => {
    const own = tokenizerFromJson(sharedJson('tokenizers/qwen3/tokenizer.json.gz'), sharedJson('tokenizers/qwen3/tokenizer_config.json'));
    const fields = ggufFieldsOfTokenizer(own);
    expect(fields['tokenizer.ggml.pre']?.value).toBe('qwen2');
    const again = tokenizerFromGgufMetadata(plain(fields));
    for (const text of texts) expect([...again.encode(text)]).toEqual([...own.encode(text)]);
  });

  it.skipIf(!hasShared)("as llama2.c's tokenizer.bin keeps the ids", () => {
    const own = tokenizerFromLlama2c(sharedBytes('models/stories260K/tok512.bin'));
    const again = tokenizerFromLlama2c(llama2cVocabulary(own));
    expect(again.vocab_size).toBe(own.vocab_size);
    for (const text of texts) expect([...again.encode(text)]).toEqual([...own.encode(text)]);
  });
});
