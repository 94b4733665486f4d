import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Batch } from '../../../src/data/stream/batch.js';
import { bestFitDecreasing } from '../../../src/data/stream/bestFit.js';
import { packedDocuments } from '../../../src/data/stream/packed.js';
import { memoryTokens } from '../../../src/data/tokens/tokenStore.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';
import { distinctDocuments, lengthsOf, numbers } from './support.js';

const PAD = 999_999;

/** Where each token of distinctDocuments stands: its document and whether it is the last of it. */
function places(lengths: readonly number[]): { document: number; last: boolean }[] {
  return lengths.flatMap((n, document) => Array.from({ length: n }, (_, i) => ({ document, last: i === n - 1 })));
}

/** Checks every row by itself, and returns the tokens of its pieces. */
function checkRows(batch: Batch, lengths: readonly number[]): number[][] {
  const [B, T] = batch.inputs.shape as [number, number];
  const { inputs, targets, segment_ids, positions } = numbers(batch) as Record<
    'inputs' | 'targets' | 'segment_ids' | 'positions',
    number[]
  >;
  const where = places(lengths);
  const pieces: number[][] = [];
  for (let b = 0; b < B; b++) {
    let segment = 0;
    for (let t = 0; t < T; t++) {
      const i = b * T + t;
      const token = inputs[i] as number;
      if (segment_ids[i] === 0) {
        // padding fills the end of a row, counts nothing and stands in no segment
        expect([token, targets[i], positions[i]]).toEqual([PAD, -1, 0]);
        expect(t === T - 1 || segment_ids[i + 1] === 0).toBe(true);
        continue;
      }
      const here = where[token];
      if (!here) throw new Error(`position ${i} holds ${token}, which is no token`);
      if (segment_ids[i] === segment) {
        expect(token).toBe((inputs[i - 1] as number) + 1);
        expect(here.document).toBe(where[token - 1]?.document);
        expect(positions[i]).toBe((positions[i - 1] as number) + 1);
        pieces.at(-1)?.push(token);
      } else {
        expect(segment_ids[i]).toBe(segment + 1);
        expect(positions[i]).toBe(0);
        segment++;
        pieces.push([token]);
      }
      expect(targets[i]).toBe(here.last ? -1 : token + 1);
    }
  }
  return pieces;
}

const sorted = (tokens: readonly number[]): number[] => [...tokens].sort((a, b) => a - b);
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('concat packing', () => {
  it('shows every token once an epoch, keeps targets within documents and restarts positions (property)', () => {
    fc.assert(
      fc.property(
        lengthsOf(12, 15),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer(),
        (lengths, batch_size, context, seed) => {
          const store = distinctDocuments(lengths);
          const source = packedDocuments(store, { key: randomKey(seed), batch_size, context, pad_token_id: PAD });
          const tokens: number[] = [];
          while (tokens.length < 2 * store.num_tokens) tokens.push(...checkRows(source.next() as Batch, lengths).flat());
          for (const epoch of [0, 1])
            expect(sorted(tokens.slice(epoch * store.num_tokens, (epoch + 1) * store.num_tokens))).toEqual(range(store.num_tokens));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('keeps documents whole in the stream and shuffles them anew each epoch', () => {
    const lengths = range(40).map(() => 3);
    const store = distinctDocuments(lengths);
    const source = packedDocuments(store, { key: randomKey(5), batch_size: 1, context: 120, pad_token_id: PAD });
    const orders = range(3).map((epoch) => {
      expect(source.epoch).toBe(epoch);
      return checkRows(source.next() as Batch, lengths).map((piece) => Number(piece[0]) / 3);
    });
    for (const order of orders) expect(sorted(order)).toEqual(range(40));
    expect(orders[0]).not.toEqual(range(40));
    expect(orders[0]).not.toEqual(orders[1]);
    expect(orders[1]).not.toEqual(orders[2]);
  });
});

describe('best-fit packing', () => {
  it('shows every token once an epoch and cuts only documents longer than a row (property)', () => {
    fc.assert(
      fc.property(
        lengthsOf(20, 15),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 25 }),
        fc.integer(),
        (lengths, batch_size, context, buffer_documents, seed) => {
          const store = distinctDocuments(lengths);
          const options = { key: randomKey(seed), batch_size, context, packing: 'best-fit', buffer_documents, pad_token_id: PAD } as const;
          const source = packedDocuments(store, options);
          const pieces: number[][] = [];
          let tokens = 0;
          while (tokens < 2 * store.num_tokens) {
            const more = checkRows(source.next() as Batch, lengths);
            pieces.push(...more);
            tokens += more.flat().length;
          }
          const all = pieces.flat();
          for (const epoch of [0, 1])
            expect(sorted(all.slice(epoch * store.num_tokens, (epoch + 1) * store.num_tokens))).toEqual(range(store.num_tokens));
          const where = places(lengths);
          for (const piece of pieces) {
            const { document } = where[piece[0] as number] as { document: number };
            const first = lengths.slice(0, document).reduce((a, b) => a + b, 0);
            const offset = (piece[0] as number) - first;
            expect(offset % context).toBe(0);
            expect(piece.length).toBe(Math.min(context, (lengths[document] as number) - offset));
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('needs as many rows as the textbook search for the fullest row that fits (property)', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 60 }), (lengths) => {
        const rooms: number[] = [];
        for (const n of [...lengths].sort((a, b) => b - a)) {
          const fitting = rooms.map((room, i) => ({ room, i })).filter(({ room }) => room >= n);
          const best = fitting.sort((a, b) => a.room - b.room)[0];
          if (best) rooms[best.i] = best.room - n;
          else rooms.push(30 - n);
        }
        const rows = bestFitDecreasing(
          lengths.map((length) => ({ start: 0, length, continues: false })),
          30,
        );
        expect(sorted(rows.map((row) => 30 - row.reduce((sum, p) => sum + p.length, 0)))).toEqual(sorted(rooms));
      }),
    );
  });

  it('wastes little where documents are short', () => {
    const lengths = range(1000).map((i) => 5 + ((i * 37) % 60));
    const store = distinctDocuments(lengths);
    const source = packedDocuments(store, { key: randomKey(0), batch_size: 1, context: 256, packing: 'best-fit' });
    let padding = 0;
    let rows = 0;
    while (source.epoch < 1 && rows < 500) {
      padding += numbers(source.next() as Batch).segment_ids?.filter((s) => s === 0).length ?? 0;
      rows++;
    }
    expect(rows).toBe(Math.ceil(store.num_tokens / 256));
    expect(padding).toBe(rows * 256 - store.num_tokens);
  });
});

describe('bad settings', () => {
  it('are named', () => {
    const store = distinctDocuments([3]);
    const key = randomKey(0);
    expect(() => packedDocuments(store, { key, batch_size: 0, context: 4 })).toThrow(/batch_size must be a positive integer, got 0/);
    expect(() => packedDocuments(store, { key, batch_size: 1, context: 4, packing: 'best-fit', buffer_documents: 0.5 })).toThrow(
      /buffer_documents/,
    );
    const empty = memoryTokens(new Int32Array(0), { ends: Float64Array.of(0, 0) });
    expect(() => packedDocuments(empty, { key, batch_size: 1, context: 4 })).toThrow(/no tokens/);
  });
});
