import type { Dim } from '../dim.js';
import type { DType } from '../dtype.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { iota } from './create.js';
import { cast, eq } from './elementwise.js';
import { unsqueeze } from './movement.js';
import { asIndices, asTensor, asTensors, type Operand, resolveAxis } from './operand.js';

/**
 * Entries of x at integer positions along an axis (NumPy take): result x.shape[:axis] + indices.shape + x.shape[axis+1:].
 * Indices lie in [0, size); negative ones do not count from the end.
 */
export function gather(value: Operand, indices: Operand, axis = 0): Tensor {
  const x = asTensor(value);
  return apply('gather', [x, asIndices('gather', indices)], { axis: resolveAxis('gather', axis, x.shape) });
}

/** Rows of a table [V, D] for ids of any shape: [..., D]. */
export const embedding = (ids: Operand, table: Operand): Tensor => gather(table, asIndices('embedding', ids), 0);

/** Adjoint of gather: zeros of which `axis` has `size` entries, updates added at the indices (repeated indices add up). */
export const scatterAdd = (indices: Operand, updates: Operand, options: { readonly size: Dim; readonly axis?: number }): Tensor => {
  const [at, values] = [asIndices('scatterAdd', indices), asTensor(updates)];
  const { axis = 0, size } = options;
  return apply('scatterAdd', [at, values], { axis: axis < 0 ? axis + values.rank - at.rank + 1 : axis, size });
};

/** out[i][j] = x[i][indices[i][j]] for axis 1 (NumPy take_along_axis). The other axes of x and the indices are equal. */
export function takeAlong(value: Operand, indices: Operand, axis = -1): Tensor {
  const x = asTensor(value);
  return apply('takeAlong', [x, asIndices('takeAlong', indices)], { axis: resolveAxis('takeAlong', axis, x.shape) });
}

export interface ScatterAlongOptions {
  /** default: the last */
  readonly axis?: number;
  /** default 'set' */
  readonly mode?: 'set' | 'add';
}

/** A copy of x with updates put ('set') or added ('add') at the indices along an axis; with 'set', indices must not repeat. */
export function scatterAlong(
  value: Operand,
  indices: Operand,
  updates: Operand,
  { axis = -1, mode = 'set' }: ScatterAlongOptions = {},
): Tensor {
  const [x, news] = asTensors(value, updates) as [Tensor, Tensor];
  const at = asIndices('scatterAlong', indices);
  const spread = news.rank === 0 && at.rank > 0 ? apply('broadcastTo', [news], { shape: at.shape }) : news;
  return apply('scatterAlong', [x, at, spread], { axis: resolveAxis('scatterAlong', axis, x.shape), mode });
}

/** 1 at the index and 0 elsewhere along a new last axis of `depth` entries; an index outside gives zeros. */
export function oneHot(indices: Operand, depth: Dim, dtype: DType = 'f32'): Tensor {
  const at = asIndices('oneHot', indices);
  if (at.dtype === 'u8') throw new OpError('oneHot', 'indices must be i32, i64 or u32, got u8; cast to i32');
  const classes = cast(iota([depth]), at.dtype);
  return cast(eq(unsqueeze(at, -1), classes), dtype);
}
