/**
 * Bare constructors of primitive applications for the engine's own rules (gradients, expansions). No coercion, no defaults:
 * user code has src/tensor/ops.
 */
import { encode, NDArray } from './array.js';
import { type Dim, dimMul, type Shape, shapeEq } from './dim.js';
import type { DType } from './dtype.js';
import { apply, type Tensor } from './graph.js';

export const neg = (x: Tensor): Tensor => apply('neg', [x], {});
export const exp = (x: Tensor): Tensor => apply('exp', [x], {});
export const log = (x: Tensor): Tensor => apply('log', [x], {});
export const sqrt = (x: Tensor): Tensor => apply('sqrt', [x], {});
export const recip = (x: Tensor): Tensor => apply('recip', [x], {});
export const sign = (x: Tensor): Tensor => apply('sign', [x], {});
export const floor = (x: Tensor): Tensor => apply('floor', [x], {});
export const sin = (x: Tensor): Tensor => apply('sin', [x], {});
export const cos = (x: Tensor): Tensor => apply('cos', [x], {});
export const tanh = (x: Tensor): Tensor => apply('tanh', [x], {});
export const sigmoid = (x: Tensor): Tensor => apply('sigmoid', [x], {});
export const erf = (x: Tensor): Tensor => apply('erf', [x], {});
export const add = (a: Tensor, b: Tensor): Tensor => apply('add', [a, b], {});
export const sub = (a: Tensor, b: Tensor): Tensor => apply('sub', [a, b], {});
export const mul = (a: Tensor, b: Tensor): Tensor => apply('mul', [a, b], {});
export const div = (a: Tensor, b: Tensor): Tensor => apply('div', [a, b], {});
export const pow = (a: Tensor, b: Tensor): Tensor => apply('pow', [a, b], {});
export const max = (a: Tensor, b: Tensor): Tensor => apply('max', [a, b], {});
export const mod = (a: Tensor, b: Tensor): Tensor => apply('mod', [a, b], {});
export const eq = (a: Tensor, b: Tensor): Tensor => apply('eq', [a, b], {});
export const lt = (a: Tensor, b: Tensor): Tensor => apply('lt', [a, b], {});
export const le = (a: Tensor, b: Tensor): Tensor => apply('le', [a, b], {});
export const and = (a: Tensor, b: Tensor): Tensor => apply('and', [a, b], {});
export const where = (c: Tensor, a: Tensor, b: Tensor): Tensor => apply('where', [c, a, b], {});
export const cast = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : apply('cast', [x], { dtype }));
export const softmax = (x: Tensor, axis = x.shape.length - 1): Tensor => apply('softmax', [x], { axis });

/** A scalar of the given dtype. */
export const scalar = (value: number, dtype: DType = 'f32'): Tensor =>
  apply('constant', [], { value: new NDArray(dtype, [], encode(dtype, [value])) });
export const constantOf = (value: NDArray): Tensor => apply('constant', [], { value });
export const iota = (shape: Shape, axis: number, dtype: 'i32' | 'f32' = 'i32'): Tensor => apply('iota', [], { shape, axis, dtype });
/** A dimension as a scalar tensor. */
export const dimScalar = (dim: Dim, dtype: 'i32' | 'f32' = 'f32'): Tensor =>
  typeof dim === 'number' ? scalar(dim, dtype) : apply('dimValue', [], { dim, dtype });

export const sum = (x: Tensor, axes: readonly number[], keepDims = true): Tensor =>
  axes.length === 0 ? x : apply('sum', [x], { axes: [...axes].sort((a, b) => a - b), keepDims });
export const reduceMax = (x: Tensor, axes: readonly number[], keepDims = true): Tensor => apply('reduceMax', [x], { axes, keepDims });
export const lastAxis = (x: Tensor): number => x.shape.length - 1;
/** Mean over the last axis, kept. */
export const meanLast = (x: Tensor): Tensor => div(sum(x, [lastAxis(x)]), dimScalar(x.shape[lastAxis(x)] as Dim));

export const reshape = (x: Tensor, shape: Shape): Tensor => (shapeEq(x.shape, shape) ? x : apply('reshape', [x], { shape }));
export const transpose = (x: Tensor, perm: readonly number[]): Tensor => apply('transpose', [x], { perm });
export const broadcastTo = (x: Tensor, shape: Shape): Tensor => (shapeEq(x.shape, shape) ? x : apply('broadcastTo', [x], { shape }));
export const zerosOf = (shape: Shape, dtype: DType = 'f32'): Tensor => broadcastTo(scalar(0, dtype), shape);
export const concat = (xs: readonly Tensor[], axis: number): Tensor =>
  xs.length === 1 ? (xs[0] as Tensor) : apply('concat', xs, { axis });
/** x[start:limit] along one axis. */
export function sliceAxis(x: Tensor, axis: number, start: Dim, limit: Dim): Tensor {
  return apply('slice', [x], {
    starts: x.shape.map((_, i) => (i === axis ? start : 0)),
    limits: x.shape.map((d, i) => (i === axis ? limit : d)),
    steps: x.shape.map(() => 1),
  });
}
/** Zeros around x along one axis. */
export function padAxis(x: Tensor, axis: number, low: number, high: number): Tensor {
  if (low === 0 && high === 0) return x;
  return apply('pad', [x], {
    low: x.shape.map((_, i) => (i === axis ? low : 0)),
    high: x.shape.map((_, i) => (i === axis ? high : 0)),
    value: 0,
  });
}

export const gather = (x: Tensor, indices: Tensor, axis = 0): Tensor => apply('gather', [x, indices], { axis });
export const scatterAdd = (indices: Tensor, updates: Tensor, axis: number, size: Dim): Tensor =>
  apply('scatterAdd', [indices, updates], { axis, size });
export const takeAlong = (x: Tensor, indices: Tensor, axis: number): Tensor => apply('takeAlong', [x, indices], { axis });
export const scatterAlong = (x: Tensor, indices: Tensor, updates: Tensor, axis: number, mode: 'set' | 'add'): Tensor =>
  apply('scatterAlong', [x, indices, updates], { axis, mode });

export interface MatmulOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
}
export const matmul = (a: Tensor, b: Tensor, o: MatmulOptions = {}): Tensor =>
  apply('matmul', [a, b], { transA: o.transA ?? false, transB: o.transB ?? false, alpha: o.alpha ?? 1 });

/** [..., N] -> [product of the rest, N] */
export const flattenLeading = (x: Tensor): Tensor =>
  x.shape.length === 2 ? x : reshape(x, [x.shape.slice(0, -1).reduce<Dim>(dimMul, 1), x.shape[lastAxis(x)] as Dim]);

/** Sums out the axes along which `shape` was broadcast to x's shape. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const extra = x.shape.length - shape.length;
  const axes: number[] = [];
  for (let i = 0; i < x.shape.length; i++) {
    if (i < extra || (shape[i - extra] === 1 && x.shape[i] !== 1)) axes.push(i);
  }
  return reshape(sum(x, axes), shape);
}
