import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawToken, RowUniform } from '../../src/infer/draw.js';
import { array, type BackendName, compile, type Tensor } from '../../src/tensor/index.js';
import { threefry2x32 } from '../../src/tensor/random/threefry.js';

const drawWith = (backend: BackendName) => {
  const compiled = compile((p: Tensor, u: Tensor) => drawToken(p, u), { backend, threads: 1 });
  return (p: number[][], u: number[]): number[] => compiled.runSync(array(p), array(u)).toNumbers();
};

/** The token by one running sum in float64. */
function plain(p: readonly number[], u: number): { token: number; margin: number } {
  const total = p.reduce((a, b) => a + Math.fround(b), 0);
  let sum = 0;
  let margin = Number.POSITIVE_INFINITY;
  let token = -1;
  for (const [i, x] of p.entries()) {
    sum += Math.fround(x);
    margin = Math.min(margin, Math.abs(sum - u * total) / total);
    if (token < 0 && sum > u * total) token = i;
  }
  return { token, margin };
}

describe.each(['reference', 'ort'] as const)('drawToken (%s)', (backend) => {
  const draw = drawWith(backend);

  it.each([1, 2, 3, 7, 16, 29, 100, 1000])('inverts the running sum of %i probabilities', (size) => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1, noNaN: true })), { minLength: size, maxLength: size }),
        fc.integer({ min: 0, max: 2 ** 23 - 1 }),
        (p, cell) => {
          fc.pre(p.some((x) => x > 0));
          const u = (cell + 0.5) * 2 ** -23;
          const [token] = draw([p], [u]) as [number];
          expect(p[token]).toBeGreaterThan(0);
          const { token: expected, margin } = plain(p, u);
          if (margin > 1e-5) expect(token).toBe(expected);
        },
      ),
      { numRuns: backend === 'ort' ? 40 : 10 },
    );
  });

  it('draws the only possible token at both ends of the numbers, and no impossible one', () => {
    const only = Array.from({ length: 70 }, (_, i) => (i === 33 ? 1e-9 : 0));
    const ends = [0.5 * 2 ** -23, 1 - 2 ** -24];
    for (const u of ends) expect(draw([only], [u])).toEqual([33]);
    const sixth = Array.from({ length: 70 }, (_, i) => (i % 10 === 4 ? 1 / 7 : 0));
    expect(draw([sixth, sixth], ends)).toEqual([4, 64]);
  });
});

describe('RowUniform', () => {
  it('depends on seed, ids and position, and on nothing else', () => {
    const at = (seed: number, ids: number[], position: number): number => new RowUniform(seed, ids).at(position);
    const all = [at(1, [0, 0], 0), at(2, [0, 0], 0), at(1, [1, 0], 0), at(1, [0, 1], 0), at(1, [0, 0], 1)];
    expect(new Set(all).size).toBe(5);
    expect(at(1, [0, 0], 0)).toBe(all[0]);
  });

  it('is a Threefry word in (0, 1), exact in float32', () => {
    // folding in is the block of counter (id, 2^32 - 2)
    const key = threefry2x32([9, 0], [5, 0xfffffffe]);
    const [word] = threefry2x32(key, [3, 0]);
    expect(new RowUniform(9, [5]).at(3)).toBe((Math.floor(word / 512) + 0.5) / 2 ** 23);
    const values = Array.from({ length: 4000 }, (_, i) => new RowUniform(9, [5]).at(i));
    for (const x of values) expect(Math.fround(x)).toBe(x);
    expect(Math.min(...values)).toBeGreaterThan(0);
    expect(Math.max(...values)).toBeLessThan(1);
    const mean = values.reduce((a, b) => a + b) / values.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 / Math.sqrt(12 * values.length));
  });
});
