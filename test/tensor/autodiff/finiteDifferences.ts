import { vjp } from '../../../src/tensor/autodiff/index.js';
import { isFloat } from '../../../src/tensor/dtype.js';
import { Graph, inputTensor, type Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import { evaluate, type RefArray, refArray } from '../../../src/tensor/reference/index.js';

/** A function of arrays: `outs` depend on `inputs`, at `values`. */
export interface Point {
  readonly inputs: readonly Tensor[];
  readonly values: readonly RefArray[];
  readonly outs: readonly Tensor[];
  /** inputs to differentiate by */
  readonly wrt: readonly Tensor[];
}

/** Uniform numbers in (-1, 1), repeatable. */
export function randomNumbers(seed: number): () => number {
  let state = (seed % 2147483646) + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return (2 * state) / 2147483647 - 1;
  };
}

const randomLike = (t: Tensor, next: () => number): RefArray => {
  const shape = t.shape as number[];
  return refArray('f32', shape, Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next));
};

export const dot = (a: RefArray, b: RefArray): number => a.data.reduce((s, x, i) => s + x * (b.data[i] as number), 0);

/** The gradients of <cotangents, outs> by `wrt` as a function of the inputs and the cotangents: what a second differentiation starts from. */
export function gradientOf(p: Point, next: () => number): Point {
  const outs = p.outs.filter((t) => isFloat(t.dtype));
  const seeds = outs.map((t, i) => inputTensor(`g${i}`, t.shape, 'f32'));
  const grads = vjp(outs, p.wrt, seeds).map((g, i) => g ?? ir.zerosOf((p.wrt[i] as Tensor).shape));
  return {
    inputs: [...p.inputs, ...seeds],
    values: [...p.values, ...seeds.map((t) => randomLike(t, next))],
    outs: grads,
    wrt: [...p.wrt, ...seeds],
  };
}

/**
 * Largest difference, relative to the values, between <gradient, direction> and the derivative along that direction of <cotangents, outs> by
 * a central difference of fourth order, over all `wrt` with a random direction each. A smaller step steps over fewer kinks.
 */
export function gradientError(p: Point, next: () => number, step = 1e-3): number {
  const g = gradientOf(p, next);
  const grads = evaluate(new Graph(g.inputs, g.outs), g.values);
  const cotangents = g.values.slice(p.values.length);
  const graph = new Graph(
    p.inputs,
    p.outs.filter((t) => isFloat(t.dtype)),
  );
  let worst = 0;
  p.wrt.forEach((t, i) => {
    const at = p.inputs.indexOf(t);
    const direction = randomLike(t, next);
    const value = (h: number): number => {
      const moved = p.values.map((v, j) =>
        j === at
          ? refArray(
              v.dtype,
              v.shape,
              v.data.map((x, e) => x + h * (direction.data[e] as number)),
            )
          : v,
      );
      return evaluate(graph, moved).reduce((s, out, k) => s + dot(out, cotangents[k] as RefArray), 0);
    };
    const numeric = (8 * (value(step) - value(-step)) - (value(2 * step) - value(-2 * step))) / (12 * step);
    const exact = dot(grads[i] as RefArray, direction);
    const error = Math.abs(exact - numeric) / Math.max(1, Math.abs(exact), Math.abs(numeric));
    if (!(error <= worst)) worst = error;
  });
  return worst;
}
