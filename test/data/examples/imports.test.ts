import { describe, expect, it } from 'vitest';
import { importedRow } from '../../../src/data/examples/index.js';

const plain = { chat: false };
const chat = { chat: true };

describe('rows of other shapes', () => {
  it('ShareGPT becomes messages', () => {
    const row = {
      conversations: [
        { from: 'human', value: 'Hi' },
        { from: 'gpt', value: 'Hello' },
      ],
      system: 'Be kind.',
      id: 3,
    };
    expect(importedRow(row, 'row 0', chat)).toEqual({
      id: 3,
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Hello' },
      ],
    });
    expect(() => importedRow({ conversations: [{ from: 'narrator', value: 'x' }] }, 'row 7', chat)).toThrow(
      /row 7: turn 0 of conversations is from "narrator"; known are human, user/,
    );
  });

  it('Alpaca becomes a conversation, or a prompt and a completion for models without a chat template', () => {
    const row = { instruction: 'Add.', input: '2 and 3', output: '5' };
    expect(importedRow(row, '', chat)).toEqual({
      messages: [
        { role: 'user', content: 'Add.\n\n2 and 3' },
        { role: 'assistant', content: '5' },
      ],
    });
    expect(importedRow(row, '', plain)).toEqual({
      prompt: '### Instruction:\nAdd.\n\n### Input:\n2 and 3\n\n### Response:\n',
      completion: '5',
    });
    expect(importedRow({ ...row, input: '' }, '', plain)).toMatchObject({ prompt: '### Instruction:\nAdd.\n\n### Response:\n' });
  });

  it('lists that a csv file holds as text are read, and texts that look like lists are left alone', () => {
    const messages = [{ role: 'user', content: 'a' }];
    expect(importedRow({ messages: JSON.stringify(messages), labels: '[true, false]', completions: '["a", "b"]' }, '', plain)).toEqual({
      messages,
      labels: [true, false],
      completions: ['a', 'b'],
    });
    const texts = { prompt: '[3, 1, 2]', completion: '[1, 2, 3]', chosen: '[not json' };
    expect(importedRow(texts, '', plain)).toEqual(texts);
  });
});
