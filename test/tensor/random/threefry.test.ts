import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { foldIn, randomKey, splitKey, threefry2x32, threefryBits } from '../../../src/tensor/random/threefry.js';

describe('threefry2x32', () => {
  // kat_vectors of Random123, "threefry2x32 20"
  it.each([
    { counter: [0, 0], key: [0, 0], block: [0x6b200159, 0x99ba4efe] },
    { counter: [0xffffffff, 0xffffffff], key: [0xffffffff, 0xffffffff], block: [0x1cb996fc, 0xbb002be7] },
    { counter: [0x243f6a88, 0x85a308d3], key: [0x13198a2e, 0x03707344], block: [0xc4923a9c, 0x483df7a0] },
  ] as const)('gives the published block of counter $counter', ({ counter, key, block }) => {
    expect(threefry2x32(key, counter)).toEqual(block);
  });

  it('numbers elements by block and word, so a longer draw begins with the shorter one', () => {
    const key = [7, 9] as const;
    const bits = threefryBits(key, 7);
    for (let i = 0; i < 7; i++) expect(bits[i]).toBe(threefry2x32(key, [Math.floor(i / 2), 0])[i % 2]);
    expect([...threefryBits(key, 4)]).toEqual([...bits.subarray(0, 4)]);
    expect(threefryBits(key, 0).length).toBe(0);
  });

  it('gives uniform bits', () => {
    const n = 1 << 15;
    const bits = threefryBits([1, 2], n);
    for (let b = 0; b < 32; b++) {
      const set = bits.reduce((count, x) => count + ((x >>> b) & 1), 0);
      expect(Math.abs(set / n - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / n));
    }
    const low = bits.filter((_, i) => i % 2 === 0);
    const high = bits.filter((_, i) => i % 2 === 1);
    const unit = (x: number): number => x / 2 ** 32 - 0.5;
    const correlation = low.reduce((total, x, i) => total + 12 * unit(x) * unit(high[i] as number), 0) / low.length;
    expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(low.length));
  });
});

const words = (key: NDArray): string => key.toNumbers().join();

describe('keys', () => {
  it('hold the low and the high word of the seed', () => {
    expect(randomKey(5).toNumbers()).toEqual([5, 0]);
    expect(randomKey(2 ** 32 + 3).toNumbers()).toEqual([3, 1]);
    expect(randomKey(-1).toNumbers()).toEqual([0xffffffff, 0xffffffff]);
    expect(randomKey(0x123456789abcdef0n).toNumbers()).toEqual([0x9abcdef0, 0x12345678]);
  });

  it('derive distinct keys that do not depend on how many are asked for', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(0xffffffff), (seed, data) => {
        const key = randomKey(seed);
        const split = splitKey(key, 5).map(words);
        expect(splitKey(key, 2).map(words)).toEqual(split.slice(0, 2));
        const all = [words(key), words(foldIn(key, data)), words(foldIn(key, (data ^ 1) >>> 0)), ...split];
        expect(new Set(all).size).toBe(all.length);
      }),
    );
  });

  it('refuses what is no key or seed', () => {
    expect(() => randomKey(0.5)).toThrow(/integer/);
    expect(() => splitKey(array([1, 2]), 2)).toThrow(/u32\[2\]/);
    expect(() => splitKey(randomKey(0), -1)).toThrow(/number of keys/);
    expect(() => foldIn(randomKey(0), 2 ** 32)).toThrow(/foldIn/);
  });
});
