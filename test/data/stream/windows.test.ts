import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { randomWindows, trainingBatch, validationBatches } from '../../../src/data/stream/windows.js';
import { loadTinyShakespeare } from '../../../src/data/textCorpus.js';
import { memoryTokens, type TokenReader } from '../../../src/data/tokens/tokenStore.js';
import { foldIn, randomKey } from '../../../src/tensor/random/threefry.js';
import { numbers } from './support.js';

describe('random windows', () => {
  it('give the batches that committed results were trained on', async () => {
    // SHA-256 of the batches of the first implementation (i32 inputs and targets of steps 0, 1 and 699, 8 windows of 128)
    const { train } = await loadTinyShakespeare();
    const key = foldIn(randomKey(3), 1);
    const hash = createHash('sha256');
    for (const step of [0, 1, 699]) {
      const { inputs, targets } = trainingBatch(train, key, step, 8, 128);
      hash.update(inputs.data as Int32Array).update(targets.data as Int32Array);
    }
    expect(hash.digest('hex')).toBe('d4f788373bb16867991a52ca2b804b36809631107429af807c73ff2b889e7256');
    const source = randomWindows(memoryTokens(train), { key, batch_size: 8, context: 128 });
    expect(numbers((await source.next()) as never)).toEqual(numbers(trainingBatch(train, key, 0, 8, 128)));
    expect(numbers((await source.next()) as never)).toEqual(numbers(trainingBatch(train, key, 1, 8, 128)));
    expect(source.epoch).toBe((2 * 8 * 128) / train.length);
    expect([source.tokensPerBatch, source.packed]).toEqual([1024, false]);
  });

  it('reach every part of corpora of more than 2^32 tokens', () => {
    const starts: number[] = [];
    const huge: TokenReader = {
      num_tokens: 2 ** 40,
      read(start, length, out) {
        expect(start + length).toBeLessThanOrEqual(2 ** 40);
        starts.push(start);
        out.fill(0, 0, length);
      },
    };
    trainingBatch(huge, randomKey(0), 0, 4000, 16);
    // 40 bits of position: 32 random bits alone would leave the low eight zero
    const low = new Set(starts.map((s) => s % 256));
    expect(low.size).toBeGreaterThan(240);
    const mean = starts.reduce((a, b) => a + b, 0) / starts.length;
    expect(Math.abs(mean / 2 ** 40 - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(4000));
  });

  it('read token stores like bytes', () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * 7) % 251);
    const wide = memoryTokens(Int32Array.from(bytes));
    expect(numbers(trainingBatch(wide, randomKey(1), 4, 3, 10))).toEqual(numbers(trainingBatch(bytes, randomKey(1), 4, 3, 10)));
    expect(validationBatches(wide, 3, 10).map(numbers)).toEqual(validationBatches(bytes, 3, 10).map(numbers));
  });
});
