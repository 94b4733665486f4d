import { encode, NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import type { Draw } from '../onnx/draw.js';

/** An application of a primitive at a point where it is smooth. Differentiated with respect to `wrt`: default, all float inputs drawn. */
export interface Example {
  readonly outs: readonly Tensor[];
  readonly wrt?: readonly Tensor[];
}

/** 'none': no input can have a gradient, or the primitive says noGrad. */
export type GradCase = ((d: Draw) => Example) | 'none';

export const one = (t: Tensor): Example => ({ outs: [t] });
export const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
export const given = (d: Draw, dtype: 'f32' | 'i32' | 'u8', shape: readonly number[], value: (i: number) => number): Tensor =>
  d.given(
    new NDArray(
      dtype,
      shape,
      encode(
        dtype,
        Array.from({ length: countOf(shape) }, (_, i) => value(i)),
      ),
    ),
  );

/** Multiples of `step` plus `offset` without repetition, in random order around zero. */
export function distinct(d: Draw, shape: readonly number[], step = 0.25, offset = 0.1): Tensor {
  const n = countOf(shape);
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = d.int(0, i);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return given(d, 'f32', shape, (i) => ((order[i] as number) - Math.floor(n / 2)) * step + offset);
}

export const filled = (d: Draw, min: number, max: number): number[] => d.shape(min, max, () => d.int(1, 4));
