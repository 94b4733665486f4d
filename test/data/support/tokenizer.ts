import type { Tokenizer } from '../../../src/contracts/index.js';

/** Bytes as ids, with eos 256: independent of the tokenizers of src/models. */
export function byteTokenizer(overrides: Partial<Tokenizer> = {}): Tokenizer {
  return {
    vocab_size: 257,
    bos_token_id: null,
    eos_token_id: 256,
    pad_token_id: null,
    fingerprint: 'bytes+eos',
    encode: (text) => Int32Array.from(new TextEncoder().encode(text)),
    decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids)),
    tokenBytes: (id) => (id < 256 ? Uint8Array.of(id) : new Uint8Array()),
    tokenId: () => undefined,
    ...overrides,
  };
}
