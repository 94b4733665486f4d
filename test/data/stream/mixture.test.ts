import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mixture } from '../../../src/data/stream/mixture.js';
import { packedDocuments } from '../../../src/data/stream/packed.js';
import { randomWindows } from '../../../src/data/stream/windows.js';
import { memoryTokens } from '../../../src/data/tokens/tokenStore.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';
import { distinctDocuments, take } from './support.js';

/** A source whose every input is `mark`. */
const marked = (mark: number, batch_size: number, context = 4) =>
  randomWindows(memoryTokens(new Uint8Array(50).fill(mark)), { key: randomKey(mark), batch_size, context });

describe('mixture', () => {
  it.each(['row', 'step'] as const)('keeps to the fractions by %s (property)', async (by) => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }), async (seed, weights) => {
        fc.pre(weights.some((w) => w > 0));
        const rows = by === 'row' ? 1 : 8;
        const sources = Object.fromEntries(weights.map((fraction, i) => [`s${i}`, { source: marked(i + 1, rows), fraction }]));
        const source = mixture({ key: randomKey(seed), by, batch_size: 8, sources });
        const counts = new Array<number>(weights.length).fill(0);
        const n = by === 'row' ? 400 : 50;
        for (const { inputs = [] } of await take(source, 50)) {
          const marks = Array.from({ length: 8 }, (_, b) => inputs[b * 4] as number);
          if (by === 'step') expect(new Set(marks).size).toBe(1);
          for (const mark of by === 'row' ? marks : marks.slice(0, 1)) counts[mark - 1] = (counts[mark - 1] ?? 0) + 1;
        }
        const total = weights.reduce((a, b) => a + b, 0);
        weights.forEach((w, i) => {
          const p = w / total;
          const deviation = Math.abs((counts[i] ?? 0) - n * p);
          expect(deviation).toBeLessThanOrEqual(5 * Math.sqrt(n * p * (1 - p)));
        });
      }),
      { numRuns: 20, seed: 1 },
    );
  });

  it('takes the rows of each source in that source’s own order', async () => {
    const source = () => packedDocuments(distinctDocuments([7, 9, 4]), { key: randomKey(1), batch_size: 1, context: 4 });
    const other = () =>
      packedDocuments(distinctDocuments(Array.from({ length: 30 }, () => 1)), { key: randomKey(2), batch_size: 1, context: 4 });
    const mixed = mixture({
      key: randomKey(3),
      batch_size: 4,
      sources: { a: { source: source(), fraction: 1 }, b: { source: other(), fraction: 1 } },
    });
    const rows = (await take(mixed, 10)).flatMap(({ targets = [], inputs = [] }) =>
      Array.from({ length: 4 }, (_, b) => ({ inputs: inputs.slice(b * 4, b * 4 + 4), targets: targets.slice(b * 4, b * 4 + 4) })),
    );
    // single-token documents have no targets: that tells the sources apart
    const ofB = rows.filter((r) => r.targets.every((t) => t === -1));
    const ofA = rows.filter((r) => !ofB.includes(r));
    expect(ofA.map((r) => r.inputs)).toEqual((await take(source(), ofA.length)).map((b) => b.inputs));
    expect(ofB.map((r) => r.inputs)).toEqual((await take(other(), ofB.length)).map((b) => b.inputs));
    expect(ofA.length).toBeGreaterThan(5);
    expect(ofB.length).toBeGreaterThan(5);
  });

  it.each(['row', 'step'] as const)('gives every batch segments and positions where one source has them, by %s', async (by) => {
    const rows = by === 'row' ? 1 : 2;
    const mixed = mixture({
      key: randomKey(0),
      by,
      batch_size: 2,
      sources: {
        plain: { source: marked(9, rows), fraction: 1 },
        packed: {
          source: packedDocuments(distinctDocuments([2, 2, 2, 2]), { key: randomKey(0), batch_size: rows, context: 4 }),
          fraction: 1,
        },
      },
    });
    const seen = new Set<string>();
    for (const { inputs = [], segment_ids = [], positions = [] } of await take(mixed, 20))
      for (const b of [0, 1]) {
        const part = (a: number[]): number[] => a.slice(b * 4, b * 4 + 4);
        const plain = part(inputs)[0] === 9;
        seen.add(String(plain));
        expect(part(segment_ids)).toEqual(plain ? [1, 1, 1, 1] : [1, 1, 2, 2]);
        expect(part(positions)).toEqual(plain ? [0, 1, 2, 3] : [0, 1, 0, 1]);
      }
    expect(seen.size).toBe(2);
  });

  it('names what does not fit', () => {
    const key = randomKey(0);
    const one = { source: marked(1, 1), fraction: 1 };
    expect(() => mixture({ key, sources: {} })).toThrow(/no sources/);
    expect(() => mixture({ key, sources: { one } })).toThrow(/set batch_size/);
    expect(() => mixture({ key, batch_size: 2, sources: { one: { ...one, fraction: -1 } } })).toThrow(/non-negative/);
    expect(() => mixture({ key, batch_size: 2, sources: { one: { ...one, fraction: 0 } } })).toThrow(/positive sum/);
    expect(() => mixture({ key, batch_size: 2, sources: { one, two: { source: marked(2, 2), fraction: 1 } } })).toThrow(
      /"two" gives \[2, 4\]/,
    );
    expect(() => mixture({ key, batch_size: 2, sources: { one, two: { source: marked(2, 1, 5), fraction: 1 } } })).toThrow(
      /"two" gives \[1, 5\]/,
    );
    expect(() => mixture({ key, by: 'step', batch_size: 2, sources: { one } })).toThrow(/batch_size 2 differs/);
  });
});
