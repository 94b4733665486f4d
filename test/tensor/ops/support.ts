import fc from 'fast-check';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { type Dim, evalShape, type Shape } from '../../../src/tensor/dim.js';
import type { DType } from '../../../src/tensor/dtype.js';
import { Graph, inputTensor, type Tensor } from '../../../src/tensor/graph.js';
import { evaluate, fromNDArray } from '../../../src/tensor/reference/index.js';

/** A plain value: shape and row-major numbers. */
export interface Value {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** An argument of a traced function: values, and the declared shape where it has symbols. */
export type Arg = NDArray | { readonly value: NDArray; readonly declared: Shape };

/** Builds a graph over inputs and evaluates it with the reference interpreter. */
export function run(build: (...xs: Tensor[]) => Tensor, ...args: Arg[]): Value {
  return runAll((...xs) => [build(...xs)], ...args)[0] as Value;
}

export function runAll(build: (...xs: Tensor[]) => readonly Tensor[], ...args: Arg[]): Value[] {
  const given = args.map((a) => ('declared' in a ? a : { value: a, declared: a.shape as readonly Dim[] }));
  const inputs = given.map((a, i) => inputTensor(`x${i}`, a.declared, a.value.dtype));
  const values = given.map((a) => fromNDArray(a.value));
  return evaluate(new Graph(inputs, build(...inputs)), values).map((r) => ({ shape: r.shape, data: Array.from(r.data) }));
}

/** Values of a graph without inputs. */
export const constantOf = (t: Tensor): Value => run(() => t);

export const arg = (shape: Shape, dtype: DType = 'f32'): Tensor => inputTensor('x', shape, dtype);

/** All indices of a shape in row-major order. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const size = shape.reduce((a, b) => a * b, 1);
  for (let flat = 0; flat < size; flat++) {
    const index: number[] = [];
    let rest = flat;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const d = shape[axis] as number;
      index.unshift(rest % d);
      rest = Math.floor(rest / d);
    }
    yield index;
  }
}

/** Element of an array at an index. */
export function pick(a: { readonly shape: readonly number[] }, data: ArrayLike<number>, index: readonly number[]): number {
  return data[index.reduce((flat, i, axis) => flat * (a.shape[axis] as number) + i, 0)] as number;
}

/** A value from a function of the index. */
export function build(shape: readonly number[], f: (index: number[]) => number): Value {
  return { shape, data: Array.from(indices(shape), f) };
}

/** Small numbers with exact binary fractions, so that sums are exact. */
export const element = fc.integer({ min: -64, max: 64 }).map((n) => n / 8);

export const shapeOf = (options: { minRank?: number; maxRank?: number; min?: number; max?: number } = {}): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: options.min ?? 1, max: options.max ?? 4 }), {
    minLength: options.minRank ?? 0,
    maxLength: options.maxRank ?? 3,
  });

export const arrayOf = (shape: readonly number[], value: fc.Arbitrary<number> = element, dtype: DType = 'f32'): fc.Arbitrary<NDArray> => {
  const n = shape.reduce((a, b) => a * b, 1);
  return fc.array(value, { minLength: n, maxLength: n }).map((flat) => array(flat, { shape, dtype }));
};

/** Symbols as they are bound by the arguments. */
export const bind = (shape: Shape, values: Record<string, number>): number[] => evalShape(shape, new Map(Object.entries(values)));

/** Largest absolute difference of two values of one shape. */
export function distance(a: Value, b: Value): number {
  if (a.shape.join() !== b.shape.join()) throw new Error(`shapes differ: [${a.shape}] and [${b.shape}]`);
  return a.data.reduce((worst, x, i) => Math.max(worst, Object.is(x, b.data[i]) ? 0 : Math.abs(x - (b.data[i] as number))), 0);
}
