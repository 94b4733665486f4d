import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { permutation } from '../../../src/data/stream/permutation.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';

describe('permutation', () => {
  it('is a bijection for every key and size (property)', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 700 }), (seed, size) => {
        const at = permutation(randomKey(seed), size);
        const seen = new Set(Array.from({ length: size }, (_, i) => at(i)));
        expect(seen.size).toBe(size);
        expect(Math.min(...seen)).toBe(0);
        expect(Math.max(...seen)).toBe(size - 1);
      }),
    );
  });

  it('stays one on large domains', () => {
    const size = 2 ** 33 + 12_345;
    const at = permutation(randomKey(1), size);
    const seen = new Set(Array.from({ length: 20_000 }, (_, i) => at(i * 400_000)));
    expect(seen.size).toBe(20_000);
    expect(Math.max(...seen)).toBeLessThan(size);
    expect(Math.max(...seen)).toBeGreaterThan(2 ** 32);
  });

  it('gives every order of three about equally often', () => {
    const counts = new Map<string, number>();
    const n = 6000;
    for (let seed = 0; seed < n; seed++) {
      const at = permutation(randomKey(seed), 3);
      const order = [at(0), at(1), at(2)].join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    const chi2 = [...counts.values()].reduce((sum, c) => sum + (c - n / 6) ** 2 / (n / 6), 0);
    expect(chi2).toBeLessThan(20.5); // 5 degrees of freedom, p = 0.001
  });

  it('sends each place of 50 everywhere, and neighbours apart', () => {
    const cells = new Array<number>(2500).fill(0);
    let neighbours = 0;
    const n = 1000;
    for (let seed = 0; seed < n; seed++) {
      const at = permutation(randomKey(seed), 50);
      for (let i = 0; i < 50; i++) {
        cells[i * 50 + at(i)] = (cells[i * 50 + at(i)] ?? 0) + 1;
        if (i && Math.abs(at(i) - at(i - 1)) === 1) neighbours++;
      }
    }
    const chi2 = cells.reduce((sum, c) => sum + (c - n / 50) ** 2 / (n / 50), 0);
    const degrees = 49 * 49;
    expect(Math.abs(chi2 - degrees)).toBeLessThan(4 * Math.sqrt(2 * degrees));
    const expected = n * 49 * (2 / 50); // a pair of places is adjacent in value with probability 2/50
    expect(Math.abs(neighbours - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });

  it('refuses what is no size or index', () => {
    expect(() => permutation(randomKey(0), 0)).toThrow(/size must be/);
    expect(() => permutation(randomKey(0), 5)(5)).toThrow(/outside of \[0, 5\)/);
    expect(permutation(randomKey(0), 1)(0)).toBe(0);
  });
});
