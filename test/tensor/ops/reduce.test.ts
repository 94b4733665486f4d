import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { sym } from '../../../src/tensor/dim.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arrayOf, build, distance, indices, pick, run, runAll, shapeOf, type Value } from './support.js';

/** The elements that a reduction folds into each result. */
function fold(x: NDArray, axes: readonly number[], f: (xs: number[]) => number): Value {
  const values = x.toNumbers();
  const all = [...indices(x.shape)];
  const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
  return build(kept, (at) =>
    f(all.filter((i) => i.every((k, axis) => axes.includes(axis) || k === at[axis])).map((i) => pick(x, values, i))),
  );
}

const total = (xs: number[]): number => xs.reduce((a, b) => a + b, 0);
const average = (xs: number[]): number => total(xs) / xs.length;
const spread = (xs: number[]): number => total(xs.map((x) => (x - average(xs)) ** 2));

type Options = ops.ReduceOptions;
const cases: Record<string, [(x: Tensor, o: Options) => Tensor, (xs: number[]) => number]> = {
  sum: [ops.sum, total],
  mean: [ops.mean, average],
  variance: [ops.variance, (xs) => spread(xs) / xs.length],
  max: [ops.max, (xs) => Math.max(...xs)],
  min: [ops.min, (xs) => Math.min(...xs)],
  prod: [ops.prod, (xs) => xs.reduce((a, b) => a * b, 1)],
  norm: [ops.norm, (xs) => Math.hypot(...xs)],
  logsumexp: [ops.logsumexp, (xs) => Math.log(total(xs.map(Math.exp)))],
  any: [(x, o) => ops.cast(ops.any(ops.gt(x, 3), o), 'f32'), (xs) => Number(xs.some((x) => x > 3))],
  all: [(x, o) => ops.cast(ops.all(ops.lt(x, 3), o), 'f32'), (xs) => Number(xs.every((x) => x < 3))],
};

describe('reductions', () => {
  const drawn = shapeOf({ minRank: 1 }).chain((shape) =>
    fc.tuple(arrayOf(shape), fc.subarray(shape.map((_, i) => i)), fc.boolean(), fc.boolean(), fc.boolean()),
  );
  it.each(Object.entries(cases))('%s', (_name, [op, plain]) => {
    fc.assert(
      fc.property(drawn, ([x, subset, everything, negative, keepDims]) => {
        const axes = everything ? x.shape.map((_, i) => i) : subset;
        const named = axes.map((a) => (negative ? a - x.shape.length : a)).reverse();
        const axis = everything ? undefined : named.length === 1 ? named[0] : named;
        const kept = fold(x, axes, plain);
        const expected = keepDims ? kept : { ...kept, shape: x.shape.filter((_, i) => !axes.includes(i)) };
        const got = run((t) => op(t, { axis, keepDims }), x);
        const scale = 1 + Math.max(...expected.data.map(Math.abs));
        expect(distance(got, expected)).toBeLessThan(1e-10 * scale);
      }),
      { numRuns: 40 },
    );
  });

  it('divide by symbolic sizes at run time', () => {
    const value = array([
      [1, 2, 3],
      [5, 7, 9],
    ]);
    const x = { value, declared: [sym('B'), 3] };
    expect(run((t) => t.mean({ axis: 0 }), x).data).toEqual([3, 4.5, 6]);
    expect(run((t) => t.mean(), x).data).toEqual([4.5]);
    expect(run((t) => t.variance({ axis: 0, correction: 1 }), x).data).toEqual([8, 12.5, 18]);
  });

  it('survive the extremes', () => {
    const x = array([
      [1e30, 1e30],
      [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
      [Number.NEGATIVE_INFINITY, 2],
    ]);
    const big = Math.fround(1e30);
    expect(run((t) => t.logsumexp({ axis: -1 }), x).data).toEqual([big, Number.NEGATIVE_INFINITY, 2]);
    expect(run((t) => t.sum(), array([], { shape: [0, 3] })).data).toEqual([0]);
    expect(run((t) => ops.all(t), array([], { shape: [0], dtype: 'bool' })).data).toEqual([1]);
  });
});

describe('order', () => {
  const drawn = shapeOf({ minRank: 1, maxRank: 3 }).chain((shape) =>
    fc.tuple(arrayOf(shape, fc.integer({ min: -3, max: 3 })), fc.nat(shape.length - 1)),
  );
  /** Rows along an axis, with a function that gives the row's results. */
  const along = (x: NDArray, axis: number, f: (row: number[]) => number[]): Value => {
    const values = x.toNumbers();
    const rowAt = (at: number[]): number[] =>
      Array.from({ length: x.shape[axis] as number }, (_, k) =>
        pick(
          x,
          values,
          at.map((i, a) => (a === axis ? k : i)),
        ),
      );
    const length = f(rowAt(x.shape.map(() => 0))).length;
    return build(
      x.shape.map((d, i) => (i === axis ? length : d)),
      (at) => f(rowAt(at))[at[axis] as number] as number,
    );
  };
  /** Stable order of a row's positions. */
  const orderOf = (row: number[], direction: number): number[] =>
    row.map((_, i) => i).sort((a, b) => direction * ((row[a] as number) - (row[b] as number)) || a - b);

  it('of sort, argsort, topK, argmax, argmin and cumsum agrees with JavaScript', () => {
    fc.assert(
      fc.property(drawn, fc.boolean(), ([x, axis], flag) => {
        const direction = flag ? -1 : 1;
        const [sorted, ranks, values, where, top, bottom, run1, run2] = runAll((t) => {
          const best = t.topK(1, { axis, largest: flag });
          return [
            t.sort({ axis, descending: flag }),
            t.argsort({ axis, descending: flag }),
            best.values,
            best.indices,
            t.argmax({ axis, keepDims: true }),
            t.argmin({ axis, keepDims: true }),
            t.cumsum({ axis, reverse: flag }),
            t.cumsum({ axis, exclusive: true }),
          ];
        }, x) as [Value, Value, Value, Value, Value, Value, Value, Value];
        const sort = (row: number[]): number[] => orderOf(row, direction).map((i) => row[i] as number);
        expect(sorted).toEqual(along(x, axis, sort));
        expect(ranks).toEqual(along(x, axis, (row) => orderOf(row, direction)));
        expect(values).toEqual(along(x, axis, (row) => sort(row).slice(0, 1)));
        expect(where).toEqual(along(x, axis, (row) => orderOf(row, direction).slice(0, 1)));
        expect(top).toEqual(along(x, axis, (row) => [row.indexOf(Math.max(...row))]));
        expect(bottom).toEqual(along(x, axis, (row) => [row.indexOf(Math.min(...row))]));
        expect(run1).toEqual(along(x, axis, (row) => row.map((_, i) => total(flag ? row.slice(i) : row.slice(0, i + 1)))));
        expect(run2).toEqual(along(x, axis, (row) => row.map((_, i) => total(row.slice(0, i)))));
      }),
      { numRuns: 60 },
    );
  });
});
