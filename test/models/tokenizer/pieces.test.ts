import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../src/contracts/index.js';
import {
  type SerializableTokenizer,
  tokenizerFromGgufMetadata,
  tokenizerFromJson,
  tokenizerFromLlama2c,
  tokenizerFromSentencePiece,
  tokenizerFromTiktoken,
} from '../../../src/models/tokenizer/index.js';
import { VitroError } from '../../../src/tensor/errors.js';
import { fixture } from './shared.js';

const unigramJson = JSON.parse(fixture('unigram.json')) as { model: { vocab: [string, number][] } };
const figures = JSON.parse(fixture('figures.json')) as { texts: string[]; unigram: number[][] };

interface ModelOptions {
  readonly type: 'unigram' | 'bpe';
  readonly dummyPrefix?: boolean;
  readonly collapse?: boolean;
  readonly bytes?: boolean;
}

const kindOf = (id: number, bytes: boolean): number => (id === 0 ? 2 : id < 3 ? 3 : bytes && id < 259 ? 6 : 1);

function vocabulary(bytes: boolean): [string, number][] {
  const [unknown, bos, eos, ...rest] = unigramJson.model.vocab as [
    [string, number],
    [string, number],
    [string, number],
    ...[string, number][],
  ];
  const spelled = Array.from({ length: bytes ? 256 : 0 }, (_, byte): [string, number] => [
    `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    0,
  ]);
  return [unknown, bos, eos, ...spelled, ...rest];
}

/** A SentencePiece tokenizer.model, written field by field. */
function modelBytes({ type, dummyPrefix = true, collapse = false, bytes = false }: ModelOptions): Uint8Array {
  const out = new BinaryWriter();
  for (const [id, [text, score]] of vocabulary(bytes).entries())
    out
      .tag(1, WireType.LengthDelimited)
      .fork()
      .tag(1, WireType.LengthDelimited)
      .string(text)
      .tag(2, WireType.Bit32)
      .float(score)
      .tag(3, WireType.Varint)
      .int32(kindOf(id, bytes))
      .join();
  out
    .tag(2, WireType.LengthDelimited)
    .fork()
    .tag(3, WireType.Varint)
    .int32(type === 'unigram' ? 1 : 2)
    .tag(40, WireType.Varint)
    .int32(0)
    .join();
  out.tag(3, WireType.LengthDelimited).fork().tag(3, WireType.Varint).bool(dummyPrefix).tag(4, WireType.Varint).bool(collapse).join();
  return out.finish();
}

/** SentencePiece's BPE by its definition: of all neighbours whose concatenation is a token, the pair of highest score, leftmost first. */
function naiveBpe(text: string, vocab: readonly (readonly [string, number])[], bytes: boolean): number[] {
  const ids = new Map(vocab.map(([token], id) => [token, id]));
  const scoreOf = (token: string): number => {
    const id = ids.get(token);
    return id === undefined || kindOf(id, bytes) !== 1 ? Number.NEGATIVE_INFINITY : (vocab[id]?.[1] ?? 0);
  };
  const parts = [...(text === '' ? '' : `▁${text.replaceAll(' ', '▁')}`)];
  for (;;) {
    let best = -1;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let i = 0; i + 1 < parts.length; i++) {
      const score = scoreOf(`${parts[i]}${parts[i + 1]}`);
      if (score > bestScore) {
        bestScore = score;
        best = i;
      }
    }
    if (best < 0) break;
    parts.splice(best, 2, `${parts[best]}${parts[best + 1]}`);
  }
  const out: number[] = [];
  let afterUnknown = false;
  for (const part of parts) {
    const id = ids.get(part);
    if (id !== undefined) out.push(id);
    else if (bytes) out.push(...Array.from(Buffer.from(part), (byte) => 3 + byte));
    else if (!afterUnknown) out.push(0);
    afterUnknown = id === undefined && !bytes;
  }
  return out;
}

const words = fc
  .array(fc.constantFrom('the', ' ', '  ', 'king', 'First', 'Citizen', '\n', 'é', '日', '🙂', ':', "'s", 'x', 'ing', '▁'), {
    maxLength: 30,
  })
  .map((p) => p.join(''));
const llama2cBytes = (): Uint8Array => {
  const parts: Buffer[] = [Buffer.alloc(4)];
  let longest = 0;
  for (const [id, [token, score]] of vocabulary(true).entries()) {
    const text = Buffer.from(id === 1 || id === 2 ? `\n${token}\n` : token.replaceAll('▁', ' '));
    const head = Buffer.alloc(8);
    head.writeFloatLE(score, 0);
    head.writeInt32LE(text.length, 4);
    longest = Math.max(longest, text.length);
    parts.push(head, text);
  }
  parts[0]?.writeInt32LE(longest, 0);
  return Buffer.concat(parts);
};
const ggufRecord = (): Record<string, unknown> => {
  const vocab = vocabulary(true);
  return {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': vocab.map(([token]) => token),
    'tokenizer.ggml.scores': Float32Array.from(vocab, ([, score]) => score),
    'tokenizer.ggml.token_type': Int32Array.from(vocab, (_, id) => kindOf(id, true)),
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2n,
    'tokenizer.chat_template': '{{ bos_token }}',
  };
};

describe('SentencePiece models', () => {
  it("unigram ids equal those of Python's tokenizers", () => {
    const tokenizer = tokenizerFromSentencePiece(modelBytes({ type: 'unigram' }));
    for (const [i, text] of figures.texts.entries()) {
      // the fixture's pipeline joins spaces and gives a text with a leading space no second one
      if (text.startsWith(' ') || text.includes('  ') || text.includes('<|')) continue;
      expect(Array.from(tokenizer.encode(text)), text).toEqual(figures.unigram[i]);
    }
  });

  it.each([false, true])('BPE ids follow the definition (byte fallback: %s)', (bytes) => {
    const tokenizer = tokenizerFromSentencePiece(modelBytes({ type: 'bpe', bytes }));
    // scores of float32, as the file holds them
    const vocab = vocabulary(bytes).map(([token, score]) => [token, Math.fround(score)] as const);
    fc.assert(
      fc.property(words, (text) => {
        expect(Array.from(tokenizer.encode(text))).toEqual(naiveBpe(text, vocab, bytes));
      }),
    );
  });

  it('tokenizer.bin and GGUF metadata of one vocabulary give the ids of its tokenizer.model', () => {
    const model = tokenizerFromSentencePiece(modelBytes({ type: 'bpe', bytes: true }));
    const others: SerializableTokenizer[] = [tokenizerFromLlama2c(llama2cBytes()), tokenizerFromGgufMetadata(ggufRecord())];
    expect(others[1]?.config.chat_template).toBe('{{ bos_token }}');
    fc.assert(
      fc.property(words, (text) => {
        const ids = model.encode(text, { add_special_tokens: true });
        for (const other of others) expect(other.encode(text, { add_special_tokens: true })).toEqual(ids);
        expect(model.decode(ids, { skip_special_tokens: true })).toBe(text.replaceAll('▁', ' '));
      }),
      { numRuns: 50 },
    );
  });

  it('a saved vocabulary reads back to the same ids and specials', () => {
    const model = tokenizerFromSentencePiece(modelBytes({ type: 'bpe', bytes: true }));
    const again = tokenizerFromJson(JSON.parse(JSON.stringify(model.toJson())), model.config);
    const same = (t: Tokenizer, text: string): number[] => Array.from(t.encode(text, { add_special_tokens: true }));
    fc.assert(
      fc.property(words, (text) => {
        expect(same(again, text)).toEqual(same(model, text));
      }),
      { numRuns: 50 },
    );
    expect([again.bos_token_id, again.eos_token_id, again.vocab_size]).toEqual([1, 2, model.vocab_size]);
  });

  it('honours the switches of the normalizer', () => {
    const bare = tokenizerFromSentencePiece(modelBytes({ type: 'bpe', bytes: true, dummyPrefix: false }));
    const prefixed = tokenizerFromSentencePiece(modelBytes({ type: 'bpe', bytes: true }));
    expect(bare.encode(' the king')).toEqual(prefixed.encode('the king'));
    expect(bare.decode(bare.encode(' a'))).toBe(' a');
    const collapsing = tokenizerFromSentencePiece(modelBytes({ type: 'bpe', bytes: true, collapse: true }));
    expect(collapsing.encode('  the   king ')).toEqual(prefixed.encode('the king'));
  });

  it('finds special tokens in the text', () => {
    const tokenizer = tokenizerFromSentencePiece(modelBytes({ type: 'bpe', bytes: true }));
    expect(Array.from(tokenizer.encode('</s>'))).toEqual([2]);
    expect(tokenizer.decode([1, 2])).toBe('<s></s>');
  });
});

describe('tiktoken ranks', () => {
  const lines = (tokens: readonly string[]): string => tokens.map((t, i) => `${Buffer.from(t).toString('base64')} ${i}`).join('\n');
  const bytes = ['a', 'b', 'c', ' '];

  it('merge by rank, read in both notations', () => {
    const tokens = [...bytes, 'bc', 'ab', 'abc', ' a'];
    const packed = `! 0 ${tokens.map((t) => Buffer.from(t).toString('base64')).join(' ')}`;
    for (const bpe_ranks of [lines(tokens), packed]) {
      const tokenizer = tokenizerFromTiktoken({ pat_str: ' ?\\S+|\\s+', bpe_ranks, special_tokens: { '<|endoftext|>': 9 } });
      // bc comes first, then abc before " a"
      expect(Array.from(tokenizer.encode('abcb abc abca'))).toEqual([6, 1, 3, 6, 3, 6, 0]);
      expect(Array.from(tokenizer.encode('ab<|endoftext|>'))).toEqual([5, 9]);
      expect(tokenizer.vocab_size).toBe(10);
    }
  });

  it('that cannot be read are refused', () => {
    const read = (bpe_ranks: string, special_tokens?: Record<string, number>) => () =>
      tokenizerFromTiktoken({ pat_str: '.', bpe_ranks, special_tokens });
    expect(read('')).toThrow(/holds no tokens/);
    expect(read('YQ== x')).toThrow(/cannot read the line/);
    expect(read('YQ==')).toThrow(/cannot read the line/);
    expect(read('? 0')).toThrow(/is not base64/);
    expect(read(lines(bytes), { x: 2 })).toThrow(/first free id is 4/);
    expect(() => tokenizerFromTiktoken({ pat_str: '(?>a)', bpe_ranks: lines(bytes) })).toThrow(/cannot be stated/);
  });
});

describe('damaged files', () => {
  const outcome = (read: () => Tokenizer): string => {
    try {
      read().encode('some text');
      return 'works';
    } catch (error) {
      if (error instanceof VitroError) return 'clear error';
      throw error;
    }
  };
  const sources: readonly (readonly [string, Uint8Array, (bytes: Uint8Array) => Tokenizer])[] = [
    ['tokenizer.model', modelBytes({ type: 'bpe', bytes: true }), tokenizerFromSentencePiece],
    ['tokenizer.bin', llama2cBytes(), tokenizerFromLlama2c],
  ];

  it.each(sources)('%s cut short or overwritten gives a clear error or still works', (_name, bytes, read) => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (length) => {
        outcome(() => read(bytes.subarray(0, length)));
      }),
      { numRuns: 40 },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
        const damaged = bytes.slice();
        for (const [at, value] of changes) damaged[at] = value;
        outcome(() => read(damaged));
      }),
      { numRuns: 40 },
    );
    expect(outcome(() => read(bytes.subarray(0, bytes.length - 3)))).toBe('clear error');
    expect(outcome(() => read(new Uint8Array(0)))).toBe('clear error');
  });

  it('GGUF metadata that lacks or twists a key is refused', () => {
    const broken = (change: Record<string, unknown>) => () => tokenizerFromGgufMetadata({ ...ggufRecord(), ...change });
    expect(broken({ 'tokenizer.ggml.model': 'rwkv' })).toThrow(/"rwkv" is not supported/);
    expect(broken({ 'tokenizer.ggml.tokens': [] })).toThrow(/tokens must be a list of strings/);
    expect(broken({ 'tokenizer.ggml.scores': [1] })).toThrow(/scores must be a list of 559 numbers|scores must be a list of/);
    expect(broken({ 'tokenizer.ggml.bos_token_id': 10 ** 6 })).toThrow(/outside of/);
    expect(() => tokenizerFromGgufMetadata({})).toThrow(/carries no vocabulary/);
    const bpe = { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.tokens': ['a', 'b', 'ab'], 'tokenizer.ggml.merges': ['a b'] };
    expect(() => tokenizerFromGgufMetadata({ ...bpe, 'tokenizer.ggml.pre': 'qwen3' })).toThrow(/the nearest known one is "qwen2"/);
    expect(() => tokenizerFromGgufMetadata({ ...bpe, 'tokenizer.ggml.merges': ['a c'] })).toThrow(/merge 0/);
    expect(Array.from(tokenizerFromGgufMetadata({ ...bpe, 'tokenizer.ggml.pre': 'gpt-2' }).encode('abba'))).toEqual([2, 1, 0]);
  });
});
