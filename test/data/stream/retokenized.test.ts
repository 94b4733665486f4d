import { describe, expect, it } from 'vitest';
import type { Batch } from '../../../src/data/stream/batch.js';
import { packedDocuments } from '../../../src/data/stream/packed.js';
import { retokenized } from '../../../src/data/stream/retokenized.js';
import { randomWindows } from '../../../src/data/stream/windows.js';
import type { Retokenizer } from '../../../src/data/tokenization/index.js';
import { memoryTokens } from '../../../src/data/tokens/tokenStore.js';
import { foldIn, randomKey } from '../../../src/tensor/index.js';

const key = randomKey(5);
const tokens = Uint8Array.from({ length: 90 }, (_, i) => i);
const documents = memoryTokens(tokens, { vocab_size: 300, ends: Float64Array.of(7, 7, 20, 20, 32, 32, 61, 61, 90, 90) });
const rows = (batch: Batch, name: 'inputs' | 'targets' | 'segment_ids' | 'positions'): number[][] => {
  const [B, T] = batch.inputs.shape as [number, number];
  const data = batch[name]?.toNumbers() ?? [];
  return Array.from({ length: B }, (_, b) => data.slice(b * T, (b + 1) * T));
};

/** Writes a token as two halves, 200 + v and 100 + v, with probability one half. */
const halves: Retokenizer = {
  growth: 1.5,
  rewrite: (ids, uniform) => Int32Array.from([...ids].flatMap((id) => (uniform() < 0.5 ? [id] : [200 + id, 100 + id]))),
};
/** Undoes it. */
const whole = (ids: readonly number[]): number[] => ids.filter((id) => id < 100 || id >= 200).map((id) => id % 200);
const same: Retokenizer = { growth: 1, rewrite: (ids) => ids };

describe('a source rewritten by a tokenization', () => {
  const windows = () => randomWindows(documents, { key, batch_size: 3, context: 12 });
  const packed = () => packedDocuments(documents, { key, batch_size: 2, context: 16 });

  it('is the source itself where the method changes nothing', async () => {
    for (const source of [windows, packed]) {
      const plain = source();
      const changed = retokenized(source(), same, { key, context: plain.context, method: null });
      for (let i = 0; i < 5; i++) expect(await changed.next()).toEqual(await plain.next());
    }
  });

  it('gives rows of one length whose text is that of the source, and targets one step ahead', async () => {
    const source = retokenized(windows(), halves, { key, context: 12, method: 'halves' });
    const plain = windows();
    for (let i = 0; i < 4; i++) {
      const [batch, original] = [await source.next(), await plain.next()];
      expect(batch.inputs.shape).toEqual([3, 12]);
      for (const [b, row] of rows(batch, 'inputs').entries()) {
        const text = whole(row);
        expect(text).toEqual(rows(original, 'inputs')[b]?.slice(0, text.length));
        expect(rows(batch, 'targets')[b]?.slice(0, -1)).toEqual(row.slice(1));
        expect(rows(batch, 'targets')[b]?.at(-1)).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('rewrites the segments of packed rows apart: no target crosses them, padding is not counted', async () => {
    const source = retokenized(packedDocuments(documents, { key, batch_size: 2, context: 11 }), halves, {
      key,
      context: 16,
      method: 'halves',
    });
    for (let i = 0; i < 6; i++) {
      const batch = await source.next();
      for (const [b, inputs] of rows(batch, 'inputs').entries()) {
        const [targets, segments, places] = (['targets', 'segment_ids', 'positions'] as const).map(
          (name) => rows(batch, name)[b] as number[],
        );
        for (const [t, segment] of (segments as number[]).entries()) {
          if (segment === 0) expect([inputs[t], targets?.[t], places?.[t]]).toEqual([0, -1, 0]);
          else if (segments?.[t + 1] === segment)
            expect([targets?.[t], places?.[t + 1]]).toEqual([inputs[t + 1], (places?.[t] as number) + 1]);
        }
      }
    }
  });

  it('resumes at its cursor, and draws anew at every step and row', async () => {
    const make = (seed = key) => retokenized(packed(), halves, { key: seed, context: 16, method: 'halves' });
    const source = make();
    const all: Batch[] = [];
    const cursors: ReturnType<typeof source.cursor>[] = [];
    for (let i = 0; i < 6; i++) {
      cursors.push(JSON.parse(JSON.stringify(source.cursor())));
      all.push(await source.next());
    }
    for (const at of [0, 3, 5]) {
      const again = make();
      again.seek(cursors[at] as never);
      expect(await again.next()).toEqual(all[at]);
    }
    expect(() => make(foldIn(key, 1)).seek(cursors[3] as never)).toThrow(/belongs to another sequence/);
    expect(() => packed().seek(cursors[3] as never)).toThrow(/belongs to another sequence/);
  });
});
