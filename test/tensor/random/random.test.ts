import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { keyWords, randomKey, splitKey, threefryBits } from '../../../src/tensor/random/threefry.js';
import * as random from '../../../src/tensor/random.js';
import { run } from '../ops/support.js';

const draw = (f: Parameters<typeof run>[0], key: NDArray): number[] => [...run(f, key).data];
const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
/** k-th moment about zero */
const moment = (xs: readonly number[], k: number): number => mean(xs.map((x) => x ** k));
const n = 40_000;
const key = randomKey(11);

describe('random tensors', () => {
  it('are the host bits', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 9 }), (seed, count) => {
        const k = randomKey(seed);
        const bits = threefryBits(keyWords(k), 2 * count);
        expect(draw((t) => random.randomBits(t, [count, 2]), k)).toEqual([...bits]);
        expect(draw((t) => random.splitKeys(t, count), k)).toEqual(splitKey(k, count).flatMap((s) => s.toNumbers()));
        expect(draw((t) => random.eachKey(t, count)[count - 1] as never, k)).toEqual(splitKey(k, count)[count - 1]?.toNumbers());
        expect(draw((t) => random.uniform(t, [2, count]), k)).toEqual([...bits].map((b) => (b >>> 8) * 2 ** -24));
        const open = [...bits].map((b) => ((b >>> 9) + 0.5) * 2 ** -23);
        draw((t) => random.gumbel(t, [2 * count]), k).forEach((g, i) => {
          expect(g).toBeCloseTo(-Math.log(-Math.log(open[i] as number)), 10);
        });
      }),
      { numRuns: 25 },
    );
  });

  // Bounds are five standard errors of each moment.
  it('have the moments of the uniform distribution', () => {
    const xs = draw((t) => random.uniform(t, [n], { low: -1, high: 3 }), key);
    expect(Math.min(...xs)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...xs)).toBeLessThan(3);
    expect(Math.abs(mean(xs) - 1)).toBeLessThan(5 * Math.sqrt(4 / 3 / n));
    expect(
      Math.abs(
        moment(
          xs.map((x) => x - 1),
          2,
        ) -
          4 / 3,
      ),
    ).toBeLessThan(5 * Math.sqrt((16 / 5 - 16 / 9) / n));
  });

  it('have the moments of the normal distribution', () => {
    const xs = draw((t) => random.normal(t, [n]), key);
    const moments = [0, 1, 0, 3, 0, 15];
    const variances = [1, 2, 15, 96, 945, 10170];
    moments.forEach((m, i) => {
      expect(Math.abs(moment(xs, i + 1) - m)).toBeLessThan(5 * Math.sqrt((variances[i] as number) / n));
    });
    const inside = xs.filter((x) => Math.abs(x) < 1).length / n;
    expect(Math.abs(inside - 0.6826895)).toBeLessThan(5 * Math.sqrt((0.6827 * 0.3173) / n));
    // neighbours are uncorrelated
    const product = mean(xs.slice(1).map((x, i) => x * (xs[i] as number)));
    expect(Math.abs(product)).toBeLessThan(5 / Math.sqrt(n));
  });

  it('have the moments of the Gumbel distribution', () => {
    const xs = draw((t) => random.gumbel(t, [n]), key);
    const variance = Math.PI ** 2 / 6;
    expect(Math.abs(mean(xs) - 0.5772156649)).toBeLessThan(5 * Math.sqrt(variance / n));
    // kurtosis of the Gumbel distribution is 27/5
    expect(
      Math.abs(
        moment(
          xs.map((x) => x - 0.5772156649),
          2,
        ) - variance,
      ),
    ).toBeLessThan(5 * variance * Math.sqrt(4.4 / n));
  });

  it('have the frequencies of their probabilities', () => {
    const p = 0.3;
    expect(Math.abs(mean(draw((t) => random.bernoulli(t, p, [n]), key)) - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / n));
    const weights = [1, 2, 5];
    const logits = array(weights.map(Math.log));
    const rows = run((t, l) => random.categorical(t, l.broadcastTo([n, 3])), key, logits).data;
    weights.forEach((w, i) => {
      const q = w / 8;
      expect(Math.abs(rows.filter((r) => r === i).length / n - q)).toBeLessThan(5 * Math.sqrt((q * (1 - q)) / n));
    });
  });

  it('permute evenly', () => {
    const counts = new Map<string, number>();
    const trials = 600;
    for (const k of splitKey(key, trials)) {
      const order = draw((t) => random.permutation(t, 3), k);
      expect([...order].sort()).toEqual([0, 1, 2]);
      counts.set(order.join(), (counts.get(order.join()) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const c of counts.values()) expect(Math.abs(c / trials - 1 / 6)).toBeLessThan(5 * Math.sqrt(5 / 36 / trials));
  });

  it('refuse an empty range', () => {
    expect(() => random.uniform(key, [2], { low: 1, high: 1 })).toThrow(/needs low < high/);
  });
});
