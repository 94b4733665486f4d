import { describe, expect, it } from 'vitest';
import { loadTinyShakespeare, splitText, trainingBatch, validationBatches } from '../../src/data/textCorpus.js';
import { randomKey } from '../../src/tensor/random/threefry.js';

describe('tiny Shakespeare', () => {
  it('is the text that NOTICE names, split 90/10', async () => {
    const corpus = await loadTinyShakespeare();
    expect(corpus.sha256).toBe('86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed');
    expect(corpus.train.length).toBe(1_003_854);
    expect(corpus.train.length + corpus.validation.length).toBe(1_115_394);
    expect(new TextDecoder().decode(corpus.train.subarray(0, 14))).toBe('First Citizen:');
  });
});

describe('trainingBatch', () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * 31 + (i >> 3)) % 256);

  it('gives windows of the text whose targets are the next bytes', () => {
    const { inputs, targets } = trainingBatch(bytes, randomKey(7), 3, 16, 32);
    expect(inputs.shape).toEqual([16, 32]);
    const text = Array.from(bytes).join(',');
    for (let b = 0; b < 16; b++) {
      const x = Array.from(inputs.data.slice(b * 32, b * 32 + 32), Number);
      const y = Array.from(targets.data.slice(b * 32, b * 32 + 32), Number);
      expect(y.slice(0, -1)).toEqual(x.slice(1));
      expect(text).toContain([x[0], ...y].join(','));
    }
  });

  it('depends on key and step alone', () => {
    const at = (seed: number, step: number) => Array.from(trainingBatch(bytes, randomKey(seed), step, 8, 16).inputs.data, Number);
    expect(at(1, 5)).toEqual(at(1, 5));
    expect(at(1, 5)).not.toEqual(at(1, 6));
    expect(at(1, 5)).not.toEqual(at(2, 5));
  });

  it('draws positions uniformly, the last one included', () => {
    const short = Uint8Array.from({ length: 12 }, (_, i) => i);
    const counts = new Array<number>(8).fill(0);
    for (let step = 0; step < 1000; step++) {
      const { inputs } = trainingBatch(short, randomKey(0), step, 8, 4);
      for (let b = 0; b < 8; b++) counts[Number(inputs.data[b * 4])] = (counts[Number(inputs.data[b * 4])] ?? 0) + 1;
    }
    for (const c of counts) expect(Math.abs(c - 1000)).toBeLessThan(4 * Math.sqrt(1000));
  });

  it('refuses a text that is too short', () => {
    expect(() => trainingBatch(bytes.subarray(0, 16), randomKey(0), 0, 1, 16)).toThrow(/too few/);
    expect(() => splitText('x', bytes, 1)).toThrow(/between 0 and 1/);
  });
});

describe('validationBatches', () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 256);

  it('predicts every covered byte exactly once, in order', () => {
    const batches = validationBatches(bytes, 3, 64);
    expect(batches.length).toBe(5); // floor(999/64) = 15 windows
    const predicted = batches.flatMap(({ targets }) => Array.from(targets.data, Number));
    expect(predicted).toEqual(Array.from(bytes.subarray(1, 1 + 15 * 64)));
  });

  it('keeps to the stated slice and says when it holds no batch', () => {
    expect(validationBatches(bytes, 2, 64, 300).length).toBe(2);
    expect(() => validationBatches(bytes, 16, 64)).toThrow(/do not fill one batch/);
  });
});
