import fc, { type GeneratorValue } from 'fast-check';
import { encode, NDArray } from '../../../src/tensor/array.js';
import type { DType } from '../../../src/tensor/dtype.js';
import { inputTensor, type Tensor } from '../../../src/tensor/graph.js';

/** Draws shapes and data of one random example; the declared inputs and their values pile up in `inputs` and `values`. */
export class Draw {
  readonly inputs: Tensor[] = [];
  readonly values: NDArray[] = [];

  constructor(readonly g: GeneratorValue) {}

  int(min: number, max: number): number {
    return this.g(fc.integer, { min, max });
  }

  bool(): boolean {
    return this.g(fc.boolean);
  }

  pick<T>(options: readonly T[]): T {
    return options[this.int(0, options.length - 1)] as T;
  }

  /** A size; zero now and then. */
  size(max = 5): number {
    return this.int(0, 11) === 0 ? 0 : this.int(1, max);
  }

  shape(minRank: number, maxRank: number, size: () => number = () => this.size()): number[] {
    return Array.from({ length: this.int(minRank, maxRank) }, size);
  }

  /** A shape that broadcasts to the given one: some sizes 1, some leading axes left out. */
  below(shape: readonly number[]): number[] {
    return shape.map((n) => (this.int(0, 3) === 0 ? 1 : n)).slice(this.int(0, 3) === 0 ? this.int(0, shape.length) : 0);
  }

  /** Numbers between min and max; integers for integer dtypes. */
  array(dtype: DType, shape: readonly number[], min = -3, max = 3): NDArray {
    const n = shape.reduce((a, b) => a * b, 1);
    let state = this.int(1, 2 ** 31 - 2);
    const next = (): number => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const float = dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
    const value = (): number => (float ? min + next() * (max - min) : min + Math.floor(next() * (max - min + 1)));
    return new NDArray(dtype, shape, encode(dtype, Array.from({ length: n }, value)));
  }

  /** Declares an input with the given value. */
  given(value: NDArray): Tensor {
    const t = inputTensor(`x${this.inputs.length}`, value.shape, value.dtype);
    this.inputs.push(t);
    this.values.push(value);
    return t;
  }

  input(dtype: DType, shape: readonly number[], min = -3, max = 3): Tensor {
    return this.given(this.array(dtype, shape, min, max));
  }
}
