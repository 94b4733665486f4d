import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDataset, taskCharacters, taskDocument, taskMixture, taskNames, taskTokenizer } from '../../../src/data/tasks/index.js';
import { loadTokenizer, saveTokenizer } from '../../../src/models/tokenizer/index.js';

describe('taskTokenizer', () => {
  const tokenizer = taskTokenizer();

  it('has 100 ids: pad, bos, eos, unk, the end of line and printable ASCII in order', () => {
    expect(tokenizer.vocab_size).toBe(100);
    expect([tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id]).toEqual([0, 1, 2]);
    expect([...tokenizer.encode('\n ~')]).toEqual([4, 5, 99]);
    expect([...tokenizer.encode('aéb')]).toEqual([70, 3, 71]);
    expect(taskCharacters).toHaveLength(96);
  });

  it('gives one id a character, and the text back', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...taskCharacters), { maxLength: 80 }), (characters) => {
        const text = characters.join('');
        fc.pre(!/<(pad|bos|eos|unk)>/.test(text));
        const ids = tokenizer.encode(text);
        expect(ids).toHaveLength(text.length);
        expect(tokenizer.decode(ids)).toBe(text);
        expect([...ids].map((id) => String.fromCharCode(...tokenizer.tokenBytes(id))).join('')).toBe(text);
      }),
      { numRuns: 200 },
    );
    expect(tokenizer.decode(tokenizer.encode(' !  a .\n '))).toBe(' !  a .\n ');
    expect(tokenizer.decode([1, 70, 2, 0], { skip_special_tokens: true })).toBe('a');
  });

  it('covers every task', () => {
    for (const name of taskNames) {
      const dataset = createDataset(name, { size: 10, seed: 2 });
      for (let i = 0; i < 10; i++) {
        const { prompt, completion } = taskDocument(dataset, i);
        expect([...tokenizer.encode(prompt + completion)].every((id) => id > 4)).toBe(true);
      }
    }
  });

  it('is saved in the usual files and read back alike', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vitro-task-tokenizer-'));
    await saveTokenizer(folder, tokenizer);
    const again = await loadTokenizer(folder);
    expect(again.fingerprint).toBe(tokenizer.fingerprint);
    expect([again.vocab_size, again.eos_token_id]).toEqual([100, 2]);
    expect([...again.encode('3 5 7=22:\n')]).toEqual([...tokenizer.encode('3 5 7=22:\n')]);
    rmSync(folder, { recursive: true });
  });
});

describe('taskMixture', () => {
  const parts = [
    { dataset: createDataset('addition', { size: 50, seed: 1 }), weight: 3 },
    { dataset: createDataset('countdown', { size: 70, seed: 1 }), weight: 1 },
  ];
  const mix = taskMixture(parts, { size: 2000, seed: 5 });

  it('draws each dataset as often as its weight says', () => {
    const first = Array.from({ length: 2000 }, (_, i) => mix.at(i)).filter((m) => m.dataset.id === 'addition').length;
    expect(first / 2000).toBeGreaterThan(0.71);
    expect(first / 2000).toBeLessThan(0.79);
  });

  it('gives documents that do not depend on size or on each other', () => {
    const shorter = taskMixture(parts, { size: 10, seed: 5 });
    for (let i = 0; i < 10; i++) {
      expect(shorter.document(i)).toEqual(mix.document(i));
      const { entry } = mix.at(i);
      expect(mix.document(i)).toEqual({ prompt: entry.prompt, completion: entry.solution });
    }
    expect(taskMixture(parts, { size: 2000, seed: 6 }).fingerprint).not.toBe(mix.fingerprint);
    expect(() => shorter.at(10)).toThrow(/not one of the 10/);
    expect(() => taskMixture([], { size: 1, seed: 0 })).toThrow(/no datasets/);
  });
});
