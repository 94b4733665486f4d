import type { Tensor } from '../graph.js';
import { add, clip, floor, round, sign, stopGradient, sub } from './elementwise.js';
import { asFloat, type Operand } from './operand.js';

/**
 * Straight-through estimator (Bengio, Léonard and Courville 2013, arXiv:1308.3432): the value of `y`, the gradient of `x`.
 * Both have one shape.
 */
export const straightThrough = (x: Tensor, y: Tensor): Tensor => add(x, stopGradient(sub(y, x)));

/** round(x) with the gradient of x. */
export function roundSte(x: Operand): Tensor {
  const t = asFloat('roundSte', x);
  return straightThrough(t, round(t));
}

/** floor(x) with the gradient of x. */
export function floorSte(x: Operand): Tensor {
  const t = asFloat('floorSte', x);
  return straightThrough(t, floor(t));
}

/** sign(x) with the gradient of x. */
export function signSte(x: Operand): Tensor {
  const t = asFloat('signSte', x);
  return straightThrough(t, sign(t));
}

/** x limited to [low, high] with the gradient of x, also outside. */
export function clipSte(x: Operand, low?: Operand, high?: Operand): Tensor {
  const t = asFloat('clipSte', x);
  return straightThrough(t, clip(t, low, high));
}
