import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { keyWords, threefry2x32 } from '../../tensor/random/threefry.js';

const ROUNDS = 8;

/**
 * A random-looking permutation of 0 ... size-1 that is computed, not stored: a balanced Feistel network over the next even number of bits (at
 * least 6) with Threefry as its round function, walked along its cycle until the value lies below `size` (Black and Rogaway, "Ciphers with
 * arbitrary finite domains", CT-RSA 2002). The domain is less than 4 * size for sizes above 16, so few steps are needed.
 * @returns the number at a place; a bijection for every key
 */
export function permutation(key: NDArray, size: number): (index: number) => number {
  if (!(Number.isInteger(size) && size >= 1 && size <= 2 ** 52))
    throw new VitroError(`permutation: the size must be an integer in [1, 2^52], got ${size}`);
  const words = keyWords(key);
  let half = 3;
  while (4 ** half < size) half++;
  const side = 2 ** half;
  return (index) => {
    if (!(Number.isInteger(index) && index >= 0 && index < size))
      throw new VitroError(`permutation: the index ${index} lies outside of [0, ${size})`);
    let x = index;
    do {
      let left = Math.floor(x / side);
      let right = x % side;
      for (let round = 0; round < ROUNDS; round++) {
        const mixed = (left ^ (threefry2x32(words, [right, round])[0] & (side - 1))) >>> 0;
        left = right;
        right = mixed;
      }
      x = left * side + right;
    } while (x >= size);
    return x;
  };
}
