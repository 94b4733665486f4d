import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { iota, zeros } from '../tensor/ops/create.js';
import { add, cast, gt, minimum, mul, sub } from '../tensor/ops/elementwise.js';
import { takeAlong } from '../tensor/ops/indexing.js';
import { reshape, squeeze, unsqueeze } from '../tensor/ops/movement.js';
import { dimOf } from '../tensor/ops/operand.js';
import { cumsum } from '../tensor/ops/order.js';
import { argmax, sum } from '../tensor/ops/reduce.js';
import { concat, slice } from '../tensor/ops/slicing.js';
import { foldIn, type KeyWords, keyWords, randomKey, threefry2x32 } from '../tensor/random/threefry.js';

/** First place [B, 1] where a running sum [B, N] exceeds a level [B, 1]. */
const firstAbove = (running: Tensor, level: Tensor): Tensor => argmax(cast(gt(running, level), 'f32'), { keepDims: true });

/**
 * One token i32 [B] for each row of probabilities [B, V] by inversion: the first at which the running sum exceeds uniform times the whole sum.
 * One random number in (0, 1) a row, uniform [B], whatever the size of the vocabulary; the running sum is made over about sqrt(V) blocks and then
 * within one block. Tokens of probability 0 are never drawn.
 */
export function drawToken(probabilities: Tensor, uniform: Tensor): Tensor {
  const [rows, vocabulary] = [dimOf(probabilities, 0), dimOf(probabilities, 1)];
  if (typeof vocabulary !== 'number') throw new VitroError('drawToken needs a vocabulary of fixed size');
  const size = Math.max(1, 2 ** Math.round(Math.log2(Math.sqrt(vocabulary))));
  const blocks = Math.ceil(vocabulary / size);
  const missing = blocks * size - vocabulary;
  const p_BV = missing > 0 ? concat([probabilities, zeros([rows, missing])], 1) : probabilities;
  const masses = sum(reshape(p_BV, [rows, blocks, size]), { axis: 2 });
  const upTo = cumsum(masses);
  const level = mul(unsqueeze(uniform, 1), slice(upTo, [[], [blocks - 1, blocks]]));
  const block = firstAbove(upTo, level);
  const before = takeAlong(cumsum(masses, { exclusive: true }), block);
  const within = cumsum(takeAlong(p_BV, add(mul(block, size), iota([1, size], 1))));
  // the two ways of adding up a block may round apart: the level stays below what this one reaches
  const reached = mul(slice(within, [[], [size - 1, size]]), 1 - 2 ** -23);
  const place = firstAbove(within, minimum(sub(level, before), reached));
  return squeeze(add(mul(block, size), place), 1);
}

/** Random numbers of one row: each depends on the seed, the row's id and the position alone, not on what shares its batch. */
export class RowUniform {
  readonly #key: KeyWords;

  /** `ids` is a path, e.g. prompt and completion; integers in [0, 2^32) */
  constructor(seed: number | bigint, ids: readonly number[]) {
    this.#key = keyWords(ids.reduce((key, id) => foldIn(key, id), randomKey(seed)));
  }

  /** Uniform in (0, 1) at a position: centres of 2^23 cells, exact in float32. */
  at(position: number): number {
    const [word] = threefry2x32(this.#key, [position, 0]);
    return ((word >>> 9) + 0.5) * 2 ** -23;
  }
}
