import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../src/contracts/index.js';
import { type EncodeExamplesOptions, encodeExamples, type Sequence, trainedTokens } from '../../../src/data/examples/index.js';
import { datasetFromRows, type Row } from '../../../src/data/index.js';

/** A token a character: its code; 0 ends a text. */
const letters: Tokenizer = {
  vocab_size: 256,
  bos_token_id: null,
  eos_token_id: 0,
  pad_token_id: 0,
  fingerprint: 'letters',
  encode: (text) => Int32Array.from([...text], (c) => c.charCodeAt(0)),
  decode: (ids) => Array.from(ids, (c) => String.fromCharCode(c)).join(''),
  tokenBytes: (id) => Uint8Array.of(id),
  tokenId: () => undefined,
};
/** Tokens as text, those that are trained on in brackets, the end as a dot. */
const shown = ({ ids, trained }: Sequence): string =>
  Array.from(ids, (id, i) => ({ text: id === 0 ? '.' : String.fromCharCode(id), on: trained[i] === 1 }))
    .map(({ text, on }) => (on ? `[${text}]` : text))
    .join('')
    .replaceAll('][', '');
const encode = async (rows: readonly Row[], options: Partial<EncodeExamplesOptions> & Pick<EncodeExamplesOptions, 'kind'>) =>
  encodeExamples(datasetFromRows(rows), letters, { max_length: 64, ...options });
const texts = async (...args: Parameters<typeof encode>): Promise<string[][]> =>
  (await encode(...args)).examples.map(({ sequences }) => sequences.map(shown));

const template =
  "{% for m in messages %}{{ '<' + m.role[0] + '>' + m.content + ';' }}{% endfor %}{% if add_generation_prompt %}{{ '<a>' }}{% endif %}";
const chat_template = { template };

describe('encodeExamples', () => {
  it('sft: trains on completions and their ends, not on prompts, unless it is told to', async () => {
    const rows = [{ prompt: 'ab', completion: 'cd' }];
    expect(await texts(rows, { kind: 'sft' })).toEqual([['ab[cd.]']]);
    expect(await texts(rows, { kind: 'sft', completion_only_loss: false })).toEqual([['a[bcd.]']]);
    expect(await texts(rows, { kind: 'sft', append_eos: false })).toEqual([['ab[cd]']]);
    expect(await texts([{ text: 'xyz' }], { kind: 'sft' })).toEqual([['x[yz.]']]);
  });

  it('sft: of conversations it trains on what the assistant says', async () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'ho' },
      { role: 'user', content: 'so' },
      { role: 'assistant', content: 'ja' },
    ];
    expect(await texts([{ messages }], { kind: 'sft', chat_template })).toEqual([['<u>hi;<a>[ho;]<u>so;<a>[ja;]']]);
    expect(await texts([{ messages }], { kind: 'sft', chat_template, assistant_only_loss: false })).toEqual([
      ['<[u>hi;<a>ho;<u>so;<a>ja;]'],
    ]);
    await expect(texts([{ messages }], { kind: 'sft' })).rejects.toThrow('give chat_template');
    const split = [{ prompt: messages.slice(0, 3), completion: messages.slice(3) }];
    expect(await texts(split, { kind: 'sft', chat_template })).toEqual([['<u>hi;<a>ho;<u>so;<a>[ja;]']]);
  });

  it('sft: refuses templates that rewrite what came before', async () => {
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'one' },
      { role: 'user', content: 'r' },
      { role: 'assistant', content: 'two' },
    ];
    const forgetful = { template: "{% for m in messages %}{% if loop.last or m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}" };
    await expect(texts([{ messages }], { kind: 'sft', chat_template: forgetful })).rejects.toThrow('changes earlier turns');
  });

  it('preference: pairs with a prompt, or with the turns that both begin with', async () => {
    expect(await texts([{ prompt: 'p', chosen: 'yes', rejected: 'no' }], { kind: 'preference' })).toEqual([['p[yes.]', 'p[no.]']]);
    const user = { role: 'user', content: 'q' };
    const pair = { chosen: [user, { role: 'assistant', content: 'y' }], rejected: [user, { role: 'assistant', content: 'n' }] };
    expect(await texts([pair], { kind: 'preference', chat_template })).toEqual([['<u>q;<a>[y;]', '<u>q;<a>[n;]']]);
  });

  it('unpaired: each prompt also with the next completion; labels become numbers', async () => {
    const rows = [
      { prompt: 'a', completion: 'x', label: true },
      { prompt: 'b', completion: 'y', label: false },
    ];
    const set = await encode(rows, { kind: 'unpaired' });
    expect(set.examples.map(({ sequences }) => sequences.map(shown))).toEqual([
      ['a[x.]', 'a[y.]'],
      ['b[y.]', 'b[x.]'],
    ]);
    expect(set.examples.map(({ columns }) => columns?.label)).toEqual([[1], [0]]);
    expect(set.columns).toEqual({ label: 1 });
    expect(await texts(rows, { kind: 'unpaired', mismatched: false })).toEqual([['a[x.]'], ['b[y.]']]);
  });

  it('stepwise: the last token of each step carries its label', async () => {
    const set = await encode([{ prompt: 'p', completions: ['ab', 'c'], labels: [true, false] }], { kind: 'stepwise', step_separator: '|' });
    expect(set.examples[0]?.sequences.map(shown)).toEqual(['p[ab|c|.]']);
    expect([...(set.examples[0]?.sequences[0]?.values?.step_labels ?? [])]).toEqual([-1, -1, -1, 1, -1, 0, -1]);
    expect(set.values).toEqual(['step_labels']);
  });

  it('cuts ends at max_length, drops what has nothing left to train on, and says how much', async () => {
    const rows = [
      { prompt: 'abcd', completion: 'ef' },
      { prompt: 'ab', completion: 'cdef' },
      { prompt: 'a', completion: 'b' },
    ];
    const set = await encode(rows, { kind: 'sft', max_length: 4 });
    expect(set.examples.map(({ sequences }) => shown(sequences[0] as Sequence))).toEqual(['ab[cd]', 'a[b.]']);
    expect([set.truncated, set.dropped, trainedTokens(set)]).toEqual([2, 1, 4]);
    await expect(encode(rows.slice(0, 1), { kind: 'sft', max_length: 4 })).rejects.toThrow('there are no examples');
  });

  it('carries columns of numbers, and names what is wrong with a row', async () => {
    const rows = [{ prompt: 'p', chosen: 'a', rejected: 'b', margin: 0.5, attributes: [1, 2, 3, 4] }];
    const set = await encode(rows, { kind: 'preference', columns: ['margin', 'attributes'] });
    expect(set.columns).toEqual({ margin: 1, attributes: 4 });
    await expect(
      encode([{ prompt: 'p', chosen: 'a', rejected: 'b', margin: 'x' }], { kind: 'preference', columns: ['margin'] }),
    ).rejects.toThrow('row 0: margin must be a number');
    await expect(encode([{ prompt: 'p', chosen: 3, rejected: 'b' }], { kind: 'preference' })).rejects.toThrow('row 0: chosen must be');
    await expect(encode([{ prompt: 'p', choosen: 'a', rejected: 'b' }], { kind: 'preference' })).rejects.toThrow('did you mean "choosen"');
    await expect(encode(rows, { kind: 'preference', max_length: 1 })).rejects.toThrow('max_length must be');
  });

  it('names everything that determines the examples in the fingerprint', async () => {
    const rows = [{ prompt: 'p', completion: 'c' }];
    const of = async (change: Partial<EncodeExamplesOptions>): Promise<string> =>
      (await encode(rows, { kind: 'sft', ...change })).fingerprint;
    const all = [await of({}), await of({ max_length: 9 }), await of({ append_eos: false }), await of({ completion_only_loss: false })];
    expect(new Set(all).size).toBe(4);
    expect(await of({})).toBe(all[0]);
  });
});
