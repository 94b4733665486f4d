import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, bucketLength, OpError, padToBucket } from '../../../src/tensor/index.js';

describe('buckets', () => {
  it('are the smallest multiple that holds the length', () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.integer({ min: 1, max: 300 }), (length, multiple) => {
        const bucket = bucketLength(length, multiple);
        expect(bucket % multiple).toBe(0);
        expect(bucket).toBeGreaterThanOrEqual(Math.max(length, 1));
        expect(bucket - multiple).toBeLessThan(Math.max(length, 1));
      }),
    );
    expect(() => bucketLength(-1)).toThrow(OpError);
    expect(() => bucketLength(3, 0)).toThrow(OpError);
  });

  it('keep the values and pad the end of any axis', () => {
    const x = array([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(padToBucket(x, 1, { multiple: 4, value: -1 }).array.toNested()).toEqual([
      [1, 2, 3, -1],
      [4, 5, 6, -1],
    ]);
    expect(padToBucket(x, 0, { multiple: 4 })).toMatchObject({ length: 2 });
    expect(padToBucket(x, 0, { multiple: 4 }).array.toNested()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(padToBucket(x, 1, { multiple: 3 }).array).toBe(x);
    expect(() => padToBucket(x, 2)).toThrow(OpError);
  });
});
