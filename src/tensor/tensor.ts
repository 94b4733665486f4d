import type { Dim, Shape } from './dim.js';
import type { DType } from './dtype.js';
import type { Node } from './graph.js';
import type { Axes, MatmulOptions, Operand, Ranges, ReduceOptions } from './ops/index.js';
import * as ops from './ops/index.js';

/**
 * A symbolic value: output `index` of `node`. Model code builds graphs of these; `compile` runs them.
 * The methods are the functions of src/tensor/ops with this tensor as the first operand; their documentation stands there.
 */
export class Tensor {
  constructor(
    readonly node: Node,
    readonly index: number,
    readonly shape: Shape,
    readonly dtype: DType,
  ) {}

  get rank(): number {
    return this.shape.length;
  }

  /** "f32[2, 3]" */
  toString(): string {
    return `${this.dtype}[${this.shape.join(', ')}]`;
  }

  // arithmetic
  add(other: Operand): Tensor {
    return ops.add(this, other);
  }
  sub(other: Operand): Tensor {
    return ops.sub(this, other);
  }
  mul(other: Operand): Tensor {
    return ops.mul(this, other);
  }
  div(other: Operand): Tensor {
    return ops.div(this, other);
  }
  mod(other: Operand): Tensor {
    return ops.mod(this, other);
  }
  pow(other: Operand): Tensor {
    return ops.pow(this, other);
  }
  maximum(other: Operand): Tensor {
    return ops.maximum(this, other);
  }
  minimum(other: Operand): Tensor {
    return ops.minimum(this, other);
  }
  neg(): Tensor {
    return ops.neg(this);
  }
  recip(): Tensor {
    return ops.recip(this);
  }
  abs(): Tensor {
    return ops.abs(this);
  }
  sign(): Tensor {
    return ops.sign(this);
  }
  square(): Tensor {
    return ops.square(this);
  }
  sqrt(): Tensor {
    return ops.sqrt(this);
  }
  rsqrt(): Tensor {
    return ops.rsqrt(this);
  }
  exp(): Tensor {
    return ops.exp(this);
  }
  log(): Tensor {
    return ops.log(this);
  }
  sin(): Tensor {
    return ops.sin(this);
  }
  cos(): Tensor {
    return ops.cos(this);
  }
  floor(): Tensor {
    return ops.floor(this);
  }
  ceil(): Tensor {
    return ops.ceil(this);
  }
  round(): Tensor {
    return ops.round(this);
  }
  clip(low?: Operand, high?: Operand): Tensor {
    return ops.clip(this, low, high);
  }
  cast(dtype: DType): Tensor {
    return ops.cast(this, dtype);
  }
  stopGradient(): Tensor {
    return ops.stopGradient(this);
  }

  // comparisons and logic
  eq(other: Operand): Tensor {
    return ops.eq(this, other);
  }
  ne(other: Operand): Tensor {
    return ops.ne(this, other);
  }
  lt(other: Operand): Tensor {
    return ops.lt(this, other);
  }
  le(other: Operand): Tensor {
    return ops.le(this, other);
  }
  gt(other: Operand): Tensor {
    return ops.gt(this, other);
  }
  ge(other: Operand): Tensor {
    return ops.ge(this, other);
  }
  not(): Tensor {
    return ops.not(this);
  }
  and(other: Operand): Tensor {
    return ops.and(this, other);
  }
  or(other: Operand): Tensor {
    return ops.or(this, other);
  }
  xor(other: Operand): Tensor {
    return ops.xor(this, other);
  }

  // activations
  sigmoid(): Tensor {
    return ops.sigmoid(this);
  }
  tanh(): Tensor {
    return ops.tanh(this);
  }
  relu(): Tensor {
    return ops.relu(this);
  }
  silu(): Tensor {
    return ops.silu(this);
  }
  gelu(options?: { readonly approximate?: 'none' | 'tanh' }): Tensor {
    return ops.gelu(this, options);
  }
  softmax(axis?: number): Tensor {
    return ops.softmax(this, axis);
  }
  logSoftmax(axis?: number): Tensor {
    return ops.logSoftmax(this, axis);
  }

  // reductions
  sum(options?: ReduceOptions): Tensor {
    return ops.sum(this, options);
  }
  mean(options?: ReduceOptions): Tensor {
    return ops.mean(this, options);
  }
  variance(options?: ReduceOptions & { readonly correction?: number }): Tensor {
    return ops.variance(this, options);
  }
  max(options?: ReduceOptions): Tensor {
    return ops.max(this, options);
  }
  min(options?: ReduceOptions): Tensor {
    return ops.min(this, options);
  }
  prod(options?: ReduceOptions): Tensor {
    return ops.prod(this, options);
  }
  norm(options?: ReduceOptions): Tensor {
    return ops.norm(this, options);
  }
  logsumexp(options?: ReduceOptions): Tensor {
    return ops.logsumexp(this, options);
  }
  any(options?: ReduceOptions): Tensor {
    return ops.any(this, options);
  }
  all(options?: ReduceOptions): Tensor {
    return ops.all(this, options);
  }
  argmax(options?: ops.ArgOptions): Tensor {
    return ops.argmax(this, options);
  }
  argmin(options?: ops.ArgOptions): Tensor {
    return ops.argmin(this, options);
  }
  cumsum(options?: ops.CumsumOptions): Tensor {
    return ops.cumsum(this, options);
  }
  topK(k: number, options?: { readonly axis?: number; readonly largest?: boolean }): ops.TopK {
    return ops.topK(this, k, options);
  }
  sort(options?: ops.SortOptions): Tensor {
    return ops.sort(this, options);
  }
  argsort(options?: ops.SortOptions): Tensor {
    return ops.argsort(this, options);
  }

  // shape
  reshape(shape: Shape): Tensor {
    return ops.reshape(this, shape);
  }
  flatten(start?: number, end?: number): Tensor {
    return ops.flatten(this, start, end);
  }
  transpose(perm?: readonly number[]): Tensor {
    return ops.transpose(this, perm);
  }
  swapAxes(a: number, b: number): Tensor {
    return ops.swapAxes(this, a, b);
  }
  moveAxis(from: number, to: number): Tensor {
    return ops.moveAxis(this, from, to);
  }
  squeeze(axis?: Axes): Tensor {
    return ops.squeeze(this, axis);
  }
  unsqueeze(axis: Axes): Tensor {
    return ops.unsqueeze(this, axis);
  }
  broadcastTo(shape: Shape): Tensor {
    return ops.broadcastTo(this, shape);
  }
  repeat(count: number, axis?: number): Tensor {
    return ops.repeat(this, count, axis);
  }
  tile(counts: readonly number[]): Tensor {
    return ops.tile(this, counts);
  }

  // parts
  slice(ranges: Ranges): Tensor {
    return ops.slice(this, ranges);
  }
  at(i: number, axis?: number): Tensor {
    return ops.at(this, i, axis);
  }
  split(parts: number | readonly Dim[], axis?: number): Tensor[] {
    return ops.split(this, parts, axis);
  }
  pad(widths: ops.Widths, value?: number): Tensor {
    return ops.pad(this, widths, value);
  }
  flip(axis?: number | readonly number[]): Tensor {
    return ops.flip(this, axis);
  }
  roll(shift: number, axis?: number): Tensor {
    return ops.roll(this, shift, axis);
  }
  gather(indices: Operand, axis?: number): Tensor {
    return ops.gather(this, indices, axis);
  }
  takeAlong(indices: Operand, axis?: number): Tensor {
    return ops.takeAlong(this, indices, axis);
  }
  scatterAlong(indices: Operand, updates: Operand, options?: ops.ScatterAlongOptions): Tensor {
    return ops.scatterAlong(this, indices, updates, options);
  }

  matmul(other: Operand, options?: MatmulOptions): Tensor {
    return ops.matmul(this, other, options);
  }
}
