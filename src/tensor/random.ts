/**
 * Random tensors as functions of a key (u32 [2]): equal keys give equal values on every machine, so each draw needs a key of its own.
 * Keys come in as arguments (randomKey, splitKey on the host) or are derived in the graph (splitKeys).
 */
import type { Shape } from './dim.js';
import { OpError } from './errors.js';
import { apply, type Tensor } from './graph.js';
import { add, cast, cos, div, log, lt, mul, neg, sqrt } from './ops/elementwise.js';
import { asFloat, asTensor, type Operand } from './ops/operand.js';
import { argsort } from './ops/order.js';
import { argmax } from './ops/reduce.js';
import { at, split } from './ops/slicing.js';

const keyOf = (key: Operand): Tensor => asTensor(key, 'u32');

/** u32 random bits of a shape: element i is word i of threefryBits(key) (see random/threefry.ts). */
export const randomBits = (key: Operand, shape: Shape): Tensor => apply('threefry', [keyOf(key)], { shape });

/** n keys derived from one, u32 [n, 2], equal to those of the host's splitKey. The parent must not be used again. */
export const splitKeys = (key: Operand, n: number): Tensor => randomBits(key, [n, 2]);

/** The keys of splitKeys one by one, for destructuring: `const [kA, kB] = eachKey(key, 2)`. */
export const eachKey = (key: Operand, n: number): Tensor[] => split(splitKeys(key, n), n, 0).map((k) => at(k, 0));

/** The upper `bits` bits (at most 24, so exact) of each random word as f32 whole numbers. */
const upperBits = (words: Tensor, bits: number): Tensor => cast(div(words, 2 ** (32 - bits)), 'f32');

/** f32 uniform in [low, high), on a grid of 2^24 steps: the upper 24 bits of each random word. */
export function uniform(key: Operand, shape: Shape, { low = 0, high = 1 }: { readonly low?: number; readonly high?: number } = {}): Tensor {
  if (!(high > low)) throw new OpError('uniform', `needs low < high, got ${low} and ${high}`);
  const unit = mul(upperBits(randomBits(key, shape), 24), 2 ** -24);
  const scaled = high - low === 1 ? unit : mul(unit, high - low);
  return low === 0 ? scaled : add(scaled, low);
}

/** f32 uniform in (0, 1), symmetric around 1/2 and never 0 or 1: centres of 2^23 cells. */
const openUniform = (words: Tensor): Tensor => mul(add(upperBits(words, 23), 0.5), 2 ** -23);

/** f32 standard normal values by the cosine half of the Box-Muller transform (two words a value; |x| < 5.8). */
export function normal(key: Operand, shape: Shape): Tensor {
  const words = randomBits(key, [2, ...shape]);
  const radius = sqrt(mul(log(openUniform(at(words, 0))), -2));
  return mul(radius, cos(mul(upperBits(at(words, 1), 24), 2 * Math.PI * 2 ** -24)));
}

/** f32 standard Gumbel values, -log(-log(u)). */
export const gumbel = (key: Operand, shape: Shape): Tensor => neg(log(neg(log(openUniform(randomBits(key, shape))))));

/** bool, true with probability p (a number, or a tensor that broadcasts to the shape). */
export const bernoulli = (key: Operand, p: Operand, shape: Shape): Tensor => lt(uniform(key, shape), p);

/** One index (i32) for each row of unnormalised log-probabilities along an axis (default: the last), by the Gumbel-max trick. */
export function categorical(key: Operand, logits: Operand, { axis = -1 }: { readonly axis?: number } = {}): Tensor {
  const x = asFloat('categorical', logits);
  return argmax(add(x, gumbel(key, x.shape)), { axis });
}

/**
 * A random order of 0..n-1 (i32) by sorting 31-bit random numbers. Equal numbers keep their order: some pair of the n collides with
 * probability about n^2 / 2^32, which leaves that one pair in ascending order.
 */
export function permutation(key: Operand, n: number): Tensor {
  return argsort(cast(div(randomBits(key, [n]), 2), 'i32'));
}
