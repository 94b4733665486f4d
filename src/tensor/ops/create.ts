import type { Dim, Shape } from '../dim.js';
import { dimSub } from '../dim.js';
import type { DType } from '../dtype.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { ceilDiv } from '../shape/movement.js';
import { add, cast, eq, mul } from './elementwise.js';
import { asTensor, type Operand, scalar } from './operand.js';

/** A tensor of one repeated value; sizes may be symbolic. */
export function full(shape: Shape, value: number | boolean, dtype?: DType): Tensor {
  const x = scalar(value, dtype);
  return shape.length === 0 ? x : apply('broadcastTo', [x], { shape });
}

export const zeros = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 0, dtype);
export const ones = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 1, dtype);

/** Zeros of x's shape and dtype. */
export function zerosLike(x: Operand): Tensor {
  const { shape, dtype } = asTensor(x);
  return zeros(shape, dtype);
}

/** Ones of x's shape and dtype. */
export function onesLike(x: Operand): Tensor {
  const { shape, dtype } = asTensor(x);
  return ones(shape, dtype);
}

/** 0, 1, 2, ... along `axis` of a tensor of `shape`. */
export const iota = (shape: Shape, axis = 0, dtype: 'i32' | 'f32' = 'i32'): Tensor =>
  apply('iota', [], { shape, axis: axis < 0 ? axis + shape.length : axis, dtype });

/** The value of a (symbolic) size as a scalar. */
export const dimValue = (dim: Dim, dtype: 'i32' | 'f32' = 'i32'): Tensor =>
  typeof dim === 'number' ? scalar(dim, dtype) : apply('dimValue', [], { dim, dtype });

/**
 * arange(n) is 0 ... n-1 (n may be symbolic); arange(start, limit, step) stops before `limit`.
 * Default dtype: i32 for whole numbers, else f32.
 */
export function arange(start: Dim, limit?: Dim, step = 1, dtype?: 'i32' | 'f32'): Tensor {
  const [from, to] = limit === undefined ? [0, start] : [start, limit];
  const type = dtype ?? ([from, to, step].every((v) => typeof v !== 'number' || Number.isInteger(v)) ? 'i32' : 'f32');
  if (!Number.isFinite(step) || step === 0) throw new OpError('arange', `the step must be a number other than 0, got ${step}`);
  const count = ceilDiv(step > 0 ? dimSub(to, from) : dimSub(from, to), Math.abs(step));
  if (count === undefined)
    throw new OpError('arange', `(${to} - ${from}) / ${step} is no whole expression of the symbols; use step 1 or slice`);
  const index = iota([typeof count === 'number' ? Math.max(0, count) : count], 0, type);
  const stepped = step === 1 ? index : mul(index, step);
  return from === 0 ? stepped : add(stepped, typeof from === 'number' ? from : dimValue(from, type));
}

/** Identity matrix [n, columns]. */
export const eye = (n: Dim, columns: Dim = n, dtype: DType = 'f32'): Tensor => cast(eq(iota([n, 1], 0), iota([1, columns], 1)), dtype);
