import { type Dim, dimSub, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import type { Tensor } from '../graph.js';
import { dimValue, iota } from './create.js';
import { and, eq, le, lt, sub, where } from './elementwise.js';
import { unsqueeze } from './movement.js';
import { asTensor, dimOf, type Operand } from './operand.js';

/** column - row of a [rows, columns] grid, i32 */
const offDiagonal = (rows: Dim, columns: Dim): Tensor => sub(iota([1, columns], 1), iota([rows, 1], 0));

function triangle(op: string, value: Operand, keep: (distance: Tensor) => Tensor): Tensor {
  const x = asTensor(value);
  if (x.rank < 2) throw new OpError(op, `needs a matrix [..., rows, columns], got ${shapeStr(x.shape)}`);
  return where(keep(offDiagonal(dimOf(x, -2), dimOf(x, -1))), x, 0);
}

/** x [..., rows, columns] with zeros above diagonal k. */
export const tril = (x: Operand, k = 0): Tensor => triangle('tril', x, (distance) => le(distance, k));
/** x [..., rows, columns] with zeros below diagonal k. */
export const triu = (x: Operand, k = 0): Tensor => triangle('triu', x, (distance) => le(k, distance));

/**
 * bool [queries, keys], true where a query may look: at keys up to its own position, the last query being aligned with the last key;
 * with `window`, only at the last `window` of those. Sizes may be symbolic.
 */
export function causalMask(queries: Dim, keys: Dim = queries, options: { readonly window?: number } = {}): Tensor {
  const ahead = dimSub(keys, queries);
  const distance = sub(offDiagonal(queries, keys), dimValue(ahead));
  const past = le(distance, 0);
  const { window = 0 } = options;
  if (!Number.isInteger(window) || window < 0) throw new OpError('causalMask', `window must be a positive integer or 0, got ${window}`);
  return window === 0 ? past : and(past, lt(-window, distance));
}

/** Largest finite penalty of an additive mask: far below any score, and sums of two stay finite. */
const penalty = 1e30;

/** A bool mask (true = keep) as an f32 bias: 0 or -1e30. */
export const maskToBias = (mask: Operand): Tensor => where(mask, 0, -penalty);

/** bool [..., T, T]: pairs of positions with one segment id (packed sequences); ids [..., T]. */
export function segmentMask(ids: Operand): Tensor {
  const x = asTensor(ids);
  if (x.rank < 1) throw new OpError('segmentMask', 'needs ids [..., T], got a scalar');
  return eq(unsqueeze(x, -1), unsqueeze(x, -2));
}
