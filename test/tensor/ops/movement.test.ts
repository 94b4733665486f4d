import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { sym } from '../../../src/tensor/dim.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arrayOf, build, pick, run, runAll, shapeOf } from './support.js';

const withAxis = shapeOf({ minRank: 1 }).chain((shape) => fc.tuple(arrayOf(shape), fc.nat(shape.length - 1)));
const size = (shape: readonly number[], axis: number): number => shape[axis] as number;

describe('movement', () => {
  it('transpose, swapAxes and moveAxis permute indices', () => {
    const drawn = shapeOf({ minRank: 1, maxRank: 4, max: 3 }).chain((shape) => {
      const axes = shape.map((_, i) => i);
      return fc.tuple(
        arrayOf(shape),
        fc.shuffledSubarray(axes, { minLength: axes.length }),
        fc.constantFrom(...axes),
        fc.constantFrom(...axes),
      );
    });
    fc.assert(
      fc.property(drawn, ([x, perm, a, b]) => {
        const values = x.toNumbers();
        const rank = x.shape.length;
        const permuted = (p: readonly number[]): unknown =>
          build(
            p.map((i) => size(x.shape, i)),
            (index) => {
              const source = new Array<number>(rank);
              p.forEach((axis, i) => {
                source[axis] = index[i] as number;
              });
              return pick(x, values, source);
            },
          );
        const axes = x.shape.map((_, i) => i);
        const swapped = axes.map((i) => (i === a ? b : i === b ? a : i));
        const moved = axes.filter((i) => i !== a);
        moved.splice(b, 0, a);
        const [t, reversed, s, m] = runAll(
          (v) => [v.transpose(perm.map((p) => p - rank)), v.transpose(), v.swapAxes(a, b - rank), v.moveAxis(a - rank, b)],
          x,
        );
        expect(t).toEqual(permuted(perm));
        expect(reversed).toEqual(permuted([...axes].reverse()));
        expect(s).toEqual(permuted(swapped));
        expect(m).toEqual(permuted(moved));
      }),
      { numRuns: 60 },
    );
  });

  it('slice counts as JavaScript does', () => {
    const drawn = withAxis.chain(([x, axis]) => {
      const n = size(x.shape, axis);
      const bound = fc.option(fc.integer({ min: -n, max: n - 1 }));
      return fc.tuple(fc.constant(x), fc.constant(axis), bound, bound, fc.constantFrom(-3, -2, -1, 1, 2, 3), fc.boolean());
    });
    fc.assert(
      fc.property(drawn, ([x, axis, start, end, step, negative]) => {
        const n = size(x.shape, axis);
        const from = start === null ? (step < 0 ? n - 1 : 0) : (start + n) % n;
        const to = end === null ? (step < 0 ? -1 : n) : (end + n) % n;
        fc.pre(step > 0 ? from <= to : from >= to);
        const kept: number[] = [];
        for (let i = from; step > 0 ? i < to : i > to; i += step) kept.push(i);
        const values = x.toNumbers();
        const expected = build(
          x.shape.map((d, a) => (a === axis ? kept.length : d)),
          (index) =>
            pick(
              x,
              values,
              index.map((i, a) => (a === axis ? (kept[i] as number) : i)),
            ),
        );
        const key = negative ? axis - x.shape.length : axis;
        expect(run((t) => t.slice({ [key]: [start, end, step] }), x)).toEqual(expected);
      }),
      { numRuns: 150 },
    );
  });

  it('split and concat, stack and at are inverses', () => {
    fc.assert(
      fc.property(withAxis, fc.nat(4), ([x, axis], cut) => {
        const n = size(x.shape, axis);
        const at = Math.min(cut, n);
        const same = { shape: [...x.shape], data: x.toNumbers() };
        expect(run((t) => ops.concat(t.split([at, n - at], axis), axis), x)).toEqual(same);
        expect(run((t) => ops.concat(t.split(n, axis), axis - x.shape.length), x)).toEqual(same);
        expect(
          run(
            (t) =>
              ops.stack(
                Array.from({ length: n }, (_, i) => t.at(i - n, axis)),
                axis,
              ),
            x,
          ),
        ).toEqual(same);
      }),
      { numRuns: 40 },
    );
  });

  it('flip, roll, repeat, tile and pad move indices', () => {
    fc.assert(
      fc.property(withAxis, fc.integer({ min: -7, max: 7 }), fc.nat(3), fc.nat(2), ([x, axis], shift, count, low) => {
        const n = size(x.shape, axis);
        const values = x.toNumbers();
        const from = (length: number, source: (i: number) => number): unknown =>
          build(
            x.shape.map((d, a) => (a === axis ? length : d)),
            (index) => {
              const i = source(index[axis] as number);
              return i < 0 || i >= n
                ? -1
                : pick(
                    x,
                    values,
                    index.map((k, a) => (a === axis ? i : k)),
                  );
            },
          );
        const counts = x.shape.map((_, a) => (a === axis ? count : 1));
        const [flipped, rolled, repeated, tiled, padded] = runAll(
          (t) => [
            t.flip(axis),
            t.roll(shift, axis),
            t.repeat(count, axis),
            t.tile(counts),
            t.pad({ [axis - x.shape.length]: [low, count] }, -1),
          ],
          x,
        );
        expect(flipped).toEqual(from(n, (i) => n - 1 - i));
        expect(rolled).toEqual(from(n, (i) => (((i - shift) % n) + n) % n));
        expect(repeated).toEqual(from(n * count, (i) => Math.floor(i / count)));
        expect(tiled).toEqual(from(n * count, (i) => i % n));
        expect(padded).toEqual(from(low + n + count, (i) => i - low));
      }),
      { numRuns: 60 },
    );
  });

  it('reshape keeps the row-major order', () => {
    const x = array([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(run((t) => t.reshape([3, -1]), x)).toEqual({ shape: [3, 2], data: [1, 2, 3, 4, 5, 6] });
    expect(run((t) => t.unsqueeze([0, -1]), x).shape).toEqual([1, 2, 3, 1]);
    expect(run((t) => t.unsqueeze([0, -1]).squeeze(), x).shape).toEqual([2, 3]);
    expect(run((t) => t.unsqueeze(0).squeeze(0).flatten(), x).shape).toEqual([6]);
    expect(run((t) => ops.scalar(3).flatten().add(t.flatten(0, 0)), array([1])).data).toEqual([4]);
    expect(run((t) => t.roll(1, 0), { value: x, declared: [sym('B'), 3] }).data).toEqual([4, 5, 6, 1, 2, 3]);
    expect(run((t) => t.at(-1).tile([2]), { value: x, declared: [sym('B'), 3] }).data).toEqual([4, 5, 6, 4, 5, 6]);
  });
});

describe('indexing', () => {
  it('gather, takeAlong and their scatters agree with loops', () => {
    const drawn = withAxis.chain(([x, axis]) => {
      const index = fc.nat(size(x.shape, axis) - 1);
      const along = x.shape.map((d, a) => (a === axis ? 2 : d));
      return fc.tuple(fc.constant(x), fc.constant(axis), arrayOf([2, 2], index, 'i32'), arrayOf(along, index, 'i32'));
    });
    fc.assert(
      fc.property(drawn, ([x, axis, grid, along]) => {
        const [values, gridValues, alongValues] = [x.toNumbers(), grid.toNumbers(), along.toNumbers()];
        const taken = build([...x.shape.slice(0, axis), 2, 2, ...x.shape.slice(axis + 1)], (index) =>
          pick(x, values, [...index.slice(0, axis), pick(grid, gridValues, index.slice(axis, axis + 2)), ...index.slice(axis + 2)]),
        );
        expect(run((t, i) => t.gather(i, axis - x.shape.length), x, grid)).toEqual(taken);
        const picked = build([...along.shape], (index) =>
          pick(
            x,
            values,
            index.map((k, a) => (a === axis ? pick(along, alongValues, index) : k)),
          ),
        );
        expect(run((t, i) => t.takeAlong(i, axis), x, along)).toEqual(picked);
        // Counting how often each entry was read: the adjoints applied to ones.
        const reads = build(
          [...x.shape],
          (index) => alongValues.filter((v, flat) => v === index[axis] && sameRow(along.shape, flat, index, axis)).length,
        );
        expect(run((t, i) => ops.zerosLike(t).scatterAlong(i, ops.ones(along.shape), { axis, mode: 'add' }), x, along)).toEqual(reads);
        const hits = build([...x.shape], (index) => gridValues.filter((v) => v === index[axis]).length);
        expect(
          run((i) => ops.scatterAdd(i, ops.ones(taken.shape), { size: size(x.shape, axis), axis: axis - x.shape.length }), grid),
        ).toEqual(hits);
      }),
      { numRuns: 40 },
    );
  });

  const sameRow = (shape: readonly number[], flat: number, index: readonly number[], axis: number): boolean => {
    let rest = flat;
    for (let a = shape.length - 1; a >= 0; a--) {
      const d = size(shape, a);
      if (a !== axis && rest % d !== index[a]) return false;
      rest = Math.floor(rest / d);
    }
    return true;
  };

  it('embedding reads rows and scatterAlong sets them', () => {
    const table = array([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const ids = array([[2, 0]], { dtype: 'i32' });
    expect(run(ops.embedding, ids, table)).toEqual({ shape: [1, 2, 2], data: [5, 6, 1, 2] });
    expect(run((t) => t.scatterAlong(array([[1], [0], [1]], { dtype: 'i32' }), 9), table).data).toEqual([1, 9, 9, 4, 5, 9]);
  });
});

describe('masks', () => {
  it('follow their definitions', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 3 }), (tq, extra, window) => {
        const tk = tq + extra;
        const seen = build([tq, tk], ([i = 0, j = 0]) => Number(j <= i + extra && (window === 0 || j > i + extra - window)));
        expect(run(() => ops.causalMask(tq, tk, { window }))).toEqual(seen);
        const symbolic = { value: array(new Float32Array(tq * tk), { shape: [tq, tk] }), declared: [sym('T'), sym('S')] };
        expect(run(() => ops.causalMask(sym('T'), sym('S'), { window }).cast('i32'), symbolic)).toEqual(seen);
        const k = window - 1;
        expect(run(() => ops.tril(ops.ones([tq, tk]), k))).toEqual(build([tq, tk], ([i = 0, j = 0]) => Number(j - i <= k)));
        expect(run(() => ops.triu(ops.ones([tq, tk]), k))).toEqual(build([tq, tk], ([i = 0, j = 0]) => Number(j - i >= k)));
      }),
      { numRuns: 40 },
    );
    const ids = array([[0, 0, 1]], { dtype: 'i32' });
    expect(run(ops.segmentMask, ids)).toEqual({ shape: [1, 3, 3], data: [1, 1, 0, 1, 1, 0, 0, 0, 1] });
    expect(run(ops.maskToBias, array([1, 0], { dtype: 'bool' })).data).toEqual([0, Math.fround(-1e30)]);
  });
});
