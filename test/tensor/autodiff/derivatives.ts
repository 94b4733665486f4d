import { expect } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { fromNDArray } from '../../../src/tensor/reference/index.js';
import { arg } from '../ops/support.js';
import { gradientError, gradientOf, randomNumbers } from './finiteDifferences.js';

const random = randomNumbers(7);
/** Numbers between -1 and 1. */
export const uniform = (...shape: number[]): NDArray =>
  array(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, random), { shape });

/** Checks the gradient of f at the arrays, and its Hessian-vector product, by finite differences. */
export function expectDerivatives(f: (...xs: Tensor[]) => Tensor, ...values: NDArray[]): void {
  const inputs = values.map((v) => arg(v.shape, v.dtype));
  const wrt = inputs.filter((t) => t.dtype === 'f32');
  const point = { inputs, values: values.map(fromNDArray), outs: [f(...inputs)], wrt };
  expect(gradientError(point, random), 'gradient').toBeLessThan(2e-6);
  expect(gradientError(gradientOf(point, random), random), 'gradient of the gradient').toBeLessThan(2e-6);
}
