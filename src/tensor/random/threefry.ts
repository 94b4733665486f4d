import { NDArray } from '../array.js';
import { OpError } from '../errors.js';

/** A 64-bit key as two 32-bit words. */
export type KeyWords = readonly [number, number];

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;

const rotateLeft = (x: number, n: number): number => (x << n) | (x >>> (32 - n));

/**
 * Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
 * the block that `key` assigns to a 64-bit counter, as two unsigned words.
 */
export function threefry2x32(key: KeyWords, counter: KeyWords): [number, number] {
  const schedule = [key[0] | 0, key[1] | 0, key[0] ^ key[1] ^ 0x1bd11bda] as const;
  let x = (counter[0] + key[0]) | 0;
  let y = (counter[1] + key[1]) | 0;
  for (let round = 0; round < 20; round++) {
    x = (x + y) | 0;
    y = rotateLeft(y, rotations[round % 8] as number) ^ x;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      x = (x + (schedule[injection % 3] as number)) | 0;
      y = (y + (schedule[(injection + 1) % 3] as number) + injection) | 0;
    }
  }
  return [x >>> 0, y >>> 0];
}

/**
 * n random words of a key. Element i is word i mod 2 of the block of counter j = floor(i / 2), whose words are
 * (j mod 2^32, floor(j / 2^32)); the compiled `threefry` primitive counts alike, so the two agree bit for bit.
 */
export function threefryBits(key: KeyWords, n: number): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(n);
  for (let i = 0; i < n; i += 2) {
    const block = i / 2;
    const [first, second] = threefry2x32(key, [block >>> 0, Math.floor(block / 2 ** 32)]);
    out[i] = first;
    if (i + 1 < n) out[i + 1] = second;
  }
  return out;
}

/** Upper counter word of foldIn. threefryBits never reaches it, so folded keys are independent of the key's own bits. */
const FOLD = 0xfffffffe;

const makeKey = (words: KeyWords): NDArray => new NDArray('u32', [2], Uint32Array.of(...words));

/** The two words of a key array (u32 [2]). */
export function keyWords(key: NDArray): KeyWords {
  if (key.dtype !== 'u32' || key.shape.length !== 1 || key.shape[0] !== 2)
    throw new OpError('key', `a key is u32[2] (see randomKey), got ${key.dtype}[${key.shape.join(', ')}]`);
  const [a, b] = key.data as Uint32Array;
  return [a as number, b as number];
}

/** The key of a seed: u32 [2], the seed's low and high 32 bits. The seed is an integer; it is taken modulo 2^64. */
export function randomKey(seed: number | bigint): NDArray {
  if (typeof seed === 'number' && !Number.isSafeInteger(seed))
    throw new OpError('randomKey', `the seed must be an integer within 2^53 or a bigint, got ${seed}`);
  const bits = BigInt.asUintN(64, BigInt(seed));
  return makeKey([Number(bits & 0xffffffffn), Number(bits >> 32n)]);
}

/**
 * n independent keys derived from one: key i is words 2i and 2i+1 of threefryBits, as the in-graph splitKeys gives them. The parent must
 * not be used again: its own bits are these keys.
 */
export function splitKey(key: NDArray, n = 2): NDArray[] {
  if (!Number.isInteger(n) || n < 0 || n > 2 ** 32)
    throw new OpError('splitKey', `the number of keys must be an integer in [0, 2^32], got ${n}`);
  const bits = threefryBits(keyWords(key), 2 * n);
  return Array.from({ length: n }, (_, i) => makeKey([bits[2 * i] as number, bits[2 * i + 1] as number]));
}

/** The key for a step, layer or sample: the block of counter (data, 0xfffffffe). `data` is an integer in [0, 2^32). */
export function foldIn(key: NDArray, data: number): NDArray {
  if (!Number.isInteger(data) || data < 0 || data >= 2 ** 32)
    throw new OpError('foldIn', `data must be an integer in [0, 2^32), got ${data}`);
  return makeKey(threefry2x32(keyWords(key), [data, FOLD]));
}
