import { describe, expect, it } from 'vitest';
import { needle } from '../../../src/data/probes/index.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';

describe('needles', () => {
  it('hides each key once at any depth, and asks all of them at the end', () => {
    const settings = { vocab_size: 32, context: 40, num_needles: 3 };
    const { inputs, targets } = needle(settings).batch(randomKey(1), 0, 200);
    const depths = new Set<number>();
    for (let b = 0; b < 200; b++) {
      const row = Array.from((inputs.data as Int32Array).subarray(b * 40, (b + 1) * 40));
      const asked = Array.from((targets.data as Int32Array).subarray(b * 40, (b + 1) * 40));
      expect(asked.slice(0, 37).every((x) => x === -1)).toBe(true);
      for (let t = 37; t < 40; t++) {
        const key = row[t] as number;
        expect(key).toBeLessThan(8);
        expect(row.filter((x) => x === key).length).toBe(2);
        const depth = row.indexOf(key);
        expect(row[depth + 1]).toBe(asked[t]);
        expect(asked[t]).toBeGreaterThanOrEqual(8);
        expect(asked[t]).toBeLessThan(16);
        depths.add(depth);
      }
      expect(row.filter((x) => x >= 16).length).toBe(40 - 9);
    }
    expect(depths).toEqual(new Set(Array.from({ length: 18 }, (_, i) => 2 * i)));
  });

  it('refuses more needles than there is room for', () => {
    expect(() => needle({ context: 10, num_needles: 4 })).toThrow(/at least 12/);
  });
});
