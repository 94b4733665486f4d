import type { Tensor } from '../../tensor/graph.js';
import { zeros } from '../../tensor/ops/create.js';
import { div, maximum, mul } from '../../tensor/ops/elementwise.js';
import { gather, scatterAlong } from '../../tensor/ops/indexing.js';
import { flatten } from '../../tensor/ops/movement.js';
import { sum } from '../../tensor/ops/reduce.js';

/** Sums over sequences (samples) and groups inside the graph. Legend: B rows, T tokens, S places for sequences, the last one for padding. */
export interface SequenceOps {
  /** sum over each sequence of x [B, T] where the mask is 1: [S] */
  sum(x: Tensor): Tensor;
  /** mean over the tokens that train: [S], 0 for a sequence without such tokens */
  mean(x: Tensor): Tensor;
  /** values of sequences [S] at their tokens: [B, T] */
  spread(x: Tensor): Tensor;
  /** number of tokens that train: [S] */
  readonly lengths: Tensor;
  /** f32 [S]: 1 for a sequence with such tokens */
  readonly present: Tensor;
  /** sum over each group of values of sequences [S]: [S] (groups need no more places than sequences) */
  groupSum(x: Tensor): Tensor;
  /** values of groups [S] at their sequences: [S] */
  groupSpread(x: Tensor): Tensor;
}

/** `index` i32 [B, T]: place of each token's sequence; `group` i32 [S]: place of each sequence's group; `mask` f32 [B, T]. */
export function sequenceOps(index: Tensor, group: Tensor, mask: Tensor): SequenceOps {
  const places = group.shape[0] as number;
  const add = (at: Tensor, values: Tensor): Tensor => scatterAlong(zeros([places]), at, values, { axis: 0, mode: 'add' });
  const flat = flatten(index);
  const sumOf = (x: Tensor): Tensor => add(flat, flatten(mul(x, mask)));
  const lengths = add(flat, flatten(mask));
  return {
    sum: sumOf,
    mean: (x) => div(sumOf(x), maximum(lengths, 1)),
    spread: (x) => gather(x, index),
    lengths,
    present: div(lengths, maximum(lengths, 1)),
    groupSum: (x) => add(group, x),
    groupSpread: (x) => gather(x, group),
  };
}

/** Mean of x [B, T] over the tokens that train, 0 where there are none: for metrics. */
export const maskedMean = (x: Tensor, mask: Tensor): Tensor => div(sum(mul(x, mask)), maximum(sum(mask), 1));
