import { type Dim, dimMul, dimSub } from '../dim.js';
import { apply, type Tensor } from '../graph.js';
import { expectDType } from '../shape/check.js';
import { dimValue } from './create.js';
import {
  add,
  cast,
  div,
  eq,
  exp,
  gt,
  isFiniteValue,
  log,
  mul,
  ne,
  neg,
  not,
  sqrt,
  square,
  stopGradient,
  sub,
  where,
} from './elementwise.js';
import { reshape } from './movement.js';
import { type Axes, asFloat, asTensor, dimOf, type Operand, resolveAxes, resolveAxis } from './operand.js';

/** Axes to reduce (default: all; negative count from the end), and whether they stay as size 1 (default: no). */
export interface ReduceOptions {
  readonly axis?: Axes;
  readonly keepDims?: boolean;
}

type Reduction = 'sum' | 'reduceMax' | 'reduceMin' | 'reduceProd';

function reduce(prim: Reduction, op: string, value: Operand, options: ReduceOptions): Tensor {
  const x = asTensor(value);
  const axes = resolveAxes(op, options.axis, x.shape);
  return axes.length === 0 ? x : apply(prim, [x], { axes, keepDims: options.keepDims ?? false });
}

export const sum = (x: Operand, options: ReduceOptions = {}): Tensor => reduce('sum', 'sum', x, options);
/** Largest value; `maximum` is the elementwise form. Equal maxima share the gradient. */
export const max = (x: Operand, options: ReduceOptions = {}): Tensor => reduce('reduceMax', 'max', x, options);
/** Smallest value; `minimum` is the elementwise form. */
export const min = (x: Operand, options: ReduceOptions = {}): Tensor => reduce('reduceMin', 'min', x, options);
export const prod = (x: Operand, options: ReduceOptions = {}): Tensor => reduce('reduceProd', 'prod', x, options);

/** x / count for a fixed or symbolic count. */
const over = (x: Tensor, count: Dim): Tensor => div(x, dimValue(count, 'f32'));

const countOf = (x: Tensor, axes: readonly number[]): Dim => axes.reduce<Dim>((n, a) => dimMul(n, dimOf(x, a)), 1);

/** Arithmetic mean; symbolic sizes are divided by at run time. */
export function mean(value: Operand, options: ReduceOptions = {}): Tensor {
  const x = asFloat('mean', value);
  return over(sum(x, options), countOf(x, resolveAxes('mean', options.axis, x.shape)));
}

/** Mean squared deviation; `correction: 1` divides by n - 1. */
export function variance(value: Operand, options: ReduceOptions & { readonly correction?: number } = {}): Tensor {
  const x = asFloat('variance', value);
  const axes = resolveAxes('variance', options.axis, x.shape);
  const deviation = sub(x, mean(x, { axis: axes, keepDims: true }));
  return over(sum(square(deviation), { axis: axes, keepDims: options.keepDims }), dimSub(countOf(x, axes), options.correction ?? 0));
}

/** Euclidean norm; its gradient at 0 is 0. */
export function norm(value: Operand, options: ReduceOptions = {}): Tensor {
  const total = sum(square(asFloat('norm', value)), options);
  const positive = gt(total, 0);
  return mul(sqrt(where(positive, total, 1)), cast(positive, 'f32'));
}

/** log(sum(exp(x))) without overflow; -Infinity where every element is. */
export function logsumexp(value: Operand, options: ReduceOptions = {}): Tensor {
  const x = asFloat('logsumexp', value);
  const axes = resolveAxes('logsumexp', options.axis, x.shape);
  const top = stopGradient(max(x, { axis: axes, keepDims: true }));
  const shift = where(isFiniteValue(top), top, 0);
  const kept = add(log(sum(exp(sub(x, shift)), { axis: axes, keepDims: true })), shift);
  return options.keepDims
    ? kept
    : reshape(
        kept,
        x.shape.filter((_, i) => !axes.includes(i)),
      );
}

/** Whether any element of a bool tensor holds. */
export const any = (x: Operand, options: ReduceOptions = {}): Tensor => ne(countTrue('any', x, options), 0);
/** Whether every element of a bool tensor holds. */
export const all = (x: Operand, options: ReduceOptions = {}): Tensor => eq(countTrue('all', not(x), options), 0);

function countTrue(op: string, value: Operand, options: ReduceOptions): Tensor {
  const x = asTensor(value);
  expectDType(op, 'the operand', x.dtype, ['bool']);
  return reduce('sum', op, cast(x, 'i32'), options);
}

/** One axis (default: the last), and whether it stays as size 1. */
export interface ArgOptions {
  readonly axis?: number;
  readonly keepDims?: boolean;
}

/** Index (i32) of the largest value along an axis, the first of equal ones. */
export function argmax(value: Operand, { axis = -1, keepDims = false }: ArgOptions = {}): Tensor {
  const x = asTensor(value);
  return apply('argmax', [x], { axis: resolveAxis('argmax', axis, x.shape), keepDims });
}

/** Index (i32) of the smallest value along an axis, the first of equal ones. */
export const argmin = (x: Operand, options: ArgOptions = {}): Tensor => argmax(neg(x), options);
