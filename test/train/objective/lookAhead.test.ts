import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, compile, type NDArray, type Tensor } from '../../../src/tensor/index.js';
import { futureBag } from '../../../src/train/objective/fsp.js';
import { band, targetsAhead } from '../../../src/train/objective/index.js';
import { walkWithRestart } from '../../../src/train/objective/nextTobe.js';

const evaluate = async (fn: (x: Record<string, Tensor>) => Tensor, inputs: Record<string, NDArray>): Promise<unknown> => {
  const compiled = compile((x: Record<string, Tensor>) => ({ out: fn(x) }), { backend: 'reference' });
  const { out } = await compiled.run(inputs);
  compiled.dispose();
  return (out as NDArray).toNested();
};

const i32 = (rows: readonly (readonly number[])[]): NDArray => array(rows as number[][], { dtype: 'i32' });

/** Targets of up to three tokens with holes, in up to three contiguous segments. */
const rowsOfDocuments = fc.integer({ min: 1, max: 6 }).chain((time) =>
  fc.record({
    targets: fc.array(fc.array(fc.integer({ min: -1, max: 2 }), { minLength: time, maxLength: time }), { minLength: 1, maxLength: 2 }),
    cuts: fc.array(fc.integer({ min: 0, max: time }), { maxLength: 2 }),
    reach: fc.integer({ min: 1, max: 8 }),
  }),
);

describe('looking ahead', () => {
  it('band takes the diagonals from the main one up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 7 }), async (time, width) => {
        const x = Array.from({ length: 2 }, (_, b) =>
          Array.from({ length: time }, (_, t) => Array.from({ length: time }, (_, s) => 100 * b + 10 * t + s + 1)),
        );
        const expected = x.map((m) => m.map((row, t) => Array.from({ length: width }, (_, j) => row[t + j] ?? 0)));
        expect(await evaluate(({ x }) => band(x as Tensor, width), { x: array(x) })).toEqual(expected);
      }),
      { numRuns: 15 },
    );
  });

  it('targetsAhead and futureBag stay within the row, the document and what counts', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOfDocuments, async ({ targets, cuts, reach }) => {
        const segments = targets.map((row) => row.map((_, t) => 1 + cuts.filter((c) => c <= t).length));
        const inputs = { targets: i32(targets), segment_ids: i32(segments) };
        const token = (b: number, t: number, s: number): number =>
          (targets[b]?.[t] ?? -1) >= 0 && segments[b]?.[s] === segments[b]?.[t] ? (targets[b]?.[s] ?? -1) : -1;
        const batch = (x: Record<string, Tensor>) => ({ ...x, inputs: x.targets }) as never;

        const ahead = targets.map((row, b) => row.map((target, t) => (reach === 1 ? target : token(b, t, t + reach - 1))));
        expect(await evaluate((x) => targetsAhead(batch(x), reach - 1), inputs)).toEqual(ahead);

        const bags = (await evaluate((x) => futureBag(batch(x), reach).cast('i32'), inputs)) as number[][][];
        for (const [b, row] of targets.entries())
          for (const t of row.keys()) {
            const expected = new Set(Array.from({ length: reach - 1 }, (_, j) => token(b, t, t + j + 1)).filter((x) => x >= 0));
            const chosen = ((bags[b] as number[][])[t] as number[]).flatMap((is, s) => (is === 1 ? [row[s] as number] : []));
            expect(chosen.length).toBe(expected.size);
            expect(new Set(chosen)).toEqual(expected);
          }
      }),
      { numRuns: 40 },
    );
  });

  it('the walk with restart is the fixed point of its recursion', async () => {
    const W = [
      [0.5, 0.2, 0.1],
      [0.25, 0.5, 0.3],
      [0.25, 0.3, 0.6],
    ];
    for (const restart of [0.05, 0.3, 1]) {
      const beta = (await evaluate(({ W }) => walkWithRestart(W as Tensor, restart), { W: array(W) })) as number[];
      // beta = (1 - restart) W beta + e_0, which the recursion of the paper reaches up to the factor restart
      W.forEach((row, i) => {
        const again = (1 - restart) * row.reduce((s, w, j) => s + w * (beta[j] as number), 0) + (i === 0 ? 1 : 0);
        expect(Math.abs(again - (beta[i] as number))).toBeLessThan(2e-5 / restart);
      });
    }
  });
});
