import type { DecoderView } from '../../models/index.js';
import type { Head } from '../../nn/head.js';
import type { Tensor } from '../../tensor/graph.js';
import { tanh } from '../../tensor/ops/activation.js';
import { iota } from '../../tensor/ops/create.js';
import { add, and, cast, div, eq, ge, maximum, mul, where } from '../../tensor/ops/elementwise.js';
import { embedding } from '../../tensor/ops/indexing.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { flatten, reshape, transpose, unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { sum } from '../../tensor/ops/reduce.js';
import { pad, slice } from '../../tensor/ops/slicing.js';
import type { BatchTensors } from './slot.js';

/** How the batch's own tokens see each other. */
export const batchView = ({ positions, segment_ids }: BatchTensors): DecoderView => ({
  ...(positions ? { positions } : {}),
  ...(segment_ids ? { segment_ids } : {}),
});

/** Fixed number of tokens T of a batch. */
export const timeOf = ({ targets }: BatchTensors): number => dimOf(targets, 1) as number;

/**
 * What position t would have to predict `offset` tokens after its own target, i32 [B, T]: targets[t + offset], or -1 where that lies beyond the
 * row or in another segment, or where position t itself does not count.
 */
export function targetsAhead(batch: BatchTensors, offset: number): Tensor {
  const { targets, segment_ids } = batch;
  if (offset === 0) return targets;
  const time = timeOf(batch);
  const ahead = (x: Tensor, fill: number): Tensor =>
    pad(slice(x, [[], [Math.min(offset, time)]]), [null, [0, Math.min(offset, time)]], fill);
  const counts = ge(targets, 0);
  const reachable = segment_ids ? and(counts, eq(segment_ids, ahead(segment_ids, -1))) : counts;
  return where(reachable, ahead(targets, -1), -1);
}

/** Mean of values [B, T] over the positions that count (a bool [B, T]); 0 where none does. */
export function meanOver(values: Tensor, counts: Tensor): Tensor {
  const weight = cast(counts, 'f32');
  return div(sum(mul(values, weight)), maximum(sum(weight), 1));
}

/** out[b, t, j] = x[b, t, t + j] for j = 0 ... width - 1, from x [B, T, T]; 0 beyond the last column. Reshapes only, so cheap to differentiate. */
export function band(x: Tensor, width: number): Tensor {
  const [batch, time] = [dimOf(x, 0), dimOf(x, 1) as number];
  const columns = time + width;
  // a row of columns + 1 elements begins one element later at every step
  const rows = pad(flatten(pad(x, [null, null, [0, width]]), 1), [null, [0, time]]);
  return slice(reshape(rows, [batch, time, columns + 1]), [[], [], [0, width]]);
}

/** Rows [B, T, D] of a table [V, D] for ids [B, T]; ids below 0 take row 0. */
export const rowsOf = (table: Tensor, ids: Tensor): Tensor => embedding(maximum(ids, 0), table);

/** Logits [B, T, S] of tokens ids [B, S] at hidden states [B, T, D]: those of the whole vocabulary are not computed. Ids below 0 stand for token 0. */
export function logitsOf({ table, bias, softcap }: Head, hidden: Tensor, ids: Tensor): Tensor {
  const product = matmul(hidden, transpose(rowsOf(table, ids), [0, 2, 1]));
  const logits = bias ? add(product, unsqueeze(embedding(maximum(ids, 0), bias), 1)) : product;
  return softcap > 0 ? mul(tanh(div(logits, softcap)), softcap) : logits;
}

/** Positions i32 [1, T, 1] and [1, 1, T] of a square of tokens, for comparisons. */
export const squareIndices = (time: number): { readonly row: Tensor; readonly column: Tensor } => ({
  row: iota([1, time, 1], 1),
  column: iota([1, 1, time], 2),
});
