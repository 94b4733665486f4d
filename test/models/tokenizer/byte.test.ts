import { describe, expect, it } from 'vitest';
import { byteTokenizer, tokenizerFromJson } from '../../../src/models/tokenizer/index.js';

describe('byte tokenizer', () => {
  const tokenizer = byteTokenizer({ special_tokens: ['<bos>', '<eos>'], bos_token: '<bos>', eos_token: '<eos>' });

  it('has the bytes as ids, and special tokens after them', () => {
    expect(Array.from(tokenizer.encode('é<eos>a'))).toEqual([0xc3, 0xa9, 257, 97]);
    expect([tokenizer.vocab_size, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]).toEqual([258, 256, 257, null]);
    expect(tokenizer.decode([256, 0xc3, 0xa9, 257])).toBe('<bos>é<eos>');
    expect(tokenizer.decode([256, 0xc3, 0xa9, 257], { skip_special_tokens: true })).toBe('é');
    expect(tokenizer.decode([0xff, 97, 999])).toBe('\ufffda');
    expect(tokenizer.tokenBytes(257)).toEqual(new Uint8Array(0));
    expect([tokenizer.tokenId('<eos>'), tokenizer.tokenId('a'), tokenizer.tokenId(' '), tokenizer.tokenId('ab')]).toEqual([
      257,
      97,
      32,
      undefined,
    ]);
  });

  it('is the same tokenizer when read back from its tokenizer.json', () => {
    const again = tokenizerFromJson(tokenizer.toJson(), tokenizer.config);
    const text = 'Hello <bos>wörld 日本 🙂\n';
    expect(again.encode(text)).toEqual(tokenizer.encode(text));
    expect([again.vocab_size, again.bos_token_id, again.eos_token_id]).toEqual([258, 256, 257]);
  });

  it('has a fingerprint that its special tokens change', () => {
    expect(byteTokenizer().fingerprint).toBe(byteTokenizer().fingerprint);
    expect(tokenizer.fingerprint).not.toBe(byteTokenizer().fingerprint);
  });

  it('refuses roles of tokens that it does not have', () => {
    expect(() => byteTokenizer({ eos_token: '</s>' })).toThrow(/not among special_tokens/);
    expect(() => byteTokenizer({ special_tokens: ['a', 'a'] })).toThrow(/must differ/);
  });
});
