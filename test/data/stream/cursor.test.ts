import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { datasetFromRows } from '../../../src/data/dataset/memory.js';
import { parity } from '../../../src/data/probes/parity.js';
import { probeSource } from '../../../src/data/probes/probe.js';
import type { BatchSource, JsonValue } from '../../../src/data/stream/batch.js';
import { mixture } from '../../../src/data/stream/mixture.js';
import { packedDocuments } from '../../../src/data/stream/packed.js';
import { randomWindows } from '../../../src/data/stream/windows.js';
import { encodeTokens } from '../../../src/data/tokens/encode.js';
import { cacheTokens } from '../../../src/data/tokens/tokenCache.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';
import { byteTokenizer } from '../support/tokenizer.js';
import { distinctDocuments, lengthsOf, take } from './support.js';

const roundTrip = (cursor: JsonValue): JsonValue => JSON.parse(JSON.stringify(cursor)) as JsonValue;

type Make = (lengths: readonly number[], seed: number, batch_size: number, context: number) => BatchSource;

const packed =
  (packing: 'concat' | 'best-fit'): Make =>
  (lengths, seed, batch_size, context) =>
    packedDocuments(distinctDocuments(lengths), { key: randomKey(seed), batch_size, context, packing, buffer_documents: 4 });

const windows: Make = (lengths, seed, batch_size, context) =>
  randomWindows(distinctDocuments([...lengths, 20]), { key: randomKey(seed), batch_size, context });

const mixed =
  (by: 'row' | 'step'): Make =>
  (lengths, seed, batch_size, context) => {
    const rows = by === 'row' ? 1 : batch_size;
    return mixture({
      key: randomKey(seed + 1),
      by,
      batch_size,
      sources: {
        windows: { source: windows(lengths, seed, rows, context), fraction: 2 },
        concat: { source: packed('concat')(lengths, seed, rows, context), fraction: 1 },
        inner: {
          source: mixture({
            key: randomKey(9),
            by: 'step',
            sources: { a: { source: packed('best-fit')(lengths, 4, rows, context), fraction: 1 } },
          }),
          fraction: 1,
        },
        probe: { source: probeSource(parity({ context }), randomKey(2), rows), fraction: 0.5 },
      },
    });
  };

const makers: readonly [string, Make][] = [
  ['windows', windows],
  ['concat', packed('concat')],
  ['best-fit', packed('best-fit')],
  ['mixture by row', mixed('row')],
  ['mixture by step', mixed('step')],
];

describe.each(makers)('the cursor of %s', (_, make) => {
  it('resumes to the same bytes, anywhere, through JSON (property)', async () => {
    await fc.assert(
      fc.asyncProperty(
        lengthsOf(9, 12),
        fc.integer({ min: 0, max: 2 ** 31 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 7 }),
        fc.nat(25),
        async (lengths, seed, batch_size, context, cut) => {
          const whole = make(lengths, seed, batch_size, context);
          await take(whole, cut);
          const cursor = roundTrip(whole.cursor());
          const epoch = whole.epoch;
          const rest = await take(whole, 6);
          const other = make(lengths, seed, batch_size, context);
          await take(other, 3);
          other.seek(cursor);
          expect(other.cursor()).toEqual(cursor);
          expect(other.epoch).toBe(epoch);
          expect(await take(other, 6)).toEqual(rest);
          whole.seek(cursor);
          expect(await take(whole, 6)).toEqual(rest);
          expect(epoch).toBeLessThanOrEqual(whole.epoch);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is small, and refuses cursors of other sequences and damaged ones without moving', async () => {
    const lengths = [5, 9, 2, 30];
    const source = make(lengths, 1, 2, 4);
    await take(source, 100);
    const cursor = source.cursor();
    expect(JSON.stringify(cursor).length).toBeLessThan(600);
    const next = await take(source, 1);
    source.seek(cursor);
    const others = [make([5, 9, 3, 30], 1, 2, 4), make(lengths, 2, 2, 4), make(lengths, 1, 3, 4), make(lengths, 1, 2, 5)];
    for (const other of others) expect(() => source.seek(roundTrip(other.cursor()))).toThrow(/another sequence/);
    const { source: name } = cursor as { source: string };
    for (const bad of [null, 3, [], {}, { source: name }, { ...(cursor as object), step: -1, index: 0.5, row: 'x' }])
      expect(() => source.seek(bad as JsonValue)).toThrow(/seek: the cursor/);
    expect(await take(source, 1)).toEqual(next);
  });
});

describe('stores', () => {
  it('in memory and on disk give the same batches, and their cursors are interchangeable', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vitro-cursor-'));
    try {
      const dataset = datasetFromRows(Array.from({ length: 20 }, (_, i) => ({ text: 'word '.repeat(i) })));
      const memory = await encodeTokens(dataset, byteTokenizer());
      const disk = await cacheTokens(dataset, byteTokenizer(), { cache_dir: folder });
      for (const packing of ['concat', 'best-fit'] as const) {
        const options = { key: randomKey(1), batch_size: 2, context: 16, packing };
        const [a, b] = [packedDocuments(memory, options), packedDocuments(disk, options)];
        expect(await take(a, 30)).toEqual(await take(b, 30));
        b.seek(a.cursor());
        expect(await take(a, 5)).toEqual(await take(b, 5));
      }
      disk.close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
