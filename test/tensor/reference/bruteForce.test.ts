import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph, inputTensor, makeNode } from '../../../src/tensor/graph.js';
import type { PrimAttrs, PrimName } from '../../../src/tensor/prims.js';
import { threefryBits } from '../../../src/tensor/random/threefry.js';
import { evaluate, type RefArray, refArray } from '../../../src/tensor/reference/index.js';

// Nested-index definitions, written without strides, against the interpreter's stride arithmetic.

type Index = readonly number[];

const shapeArb = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 });

function* indicesOf(shape: Index, prefix: Index = []): Generator<Index> {
  if (prefix.length === shape.length) yield prefix;
  else for (let i = 0; i < (shape[prefix.length] as number); i++) yield* indicesOf(shape, [...prefix, i]);
}

const at = (x: RefArray, index: Index): number =>
  x.data[index.reduce((flat, i, axis) => flat * (x.shape[axis] as number) + i, 0)] as number;

function sample(shape: Index, seed: number): RefArray {
  const n = shape.reduce((a, b) => a * b, 1);
  return refArray(
    'f32',
    shape,
    Float64Array.from(threefryBits([seed, 0], n), (b) => (b % 41) / 8 - 2.5),
  );
}

function run<K extends PrimName>(op: K, values: readonly RefArray[], attrs: PrimAttrs[K]): RefArray {
  const tensors = values.map((a, i) => inputTensor(`x${i}`, a.shape, a.dtype));
  return evaluate(new Graph(tensors, makeNode(op, tensors, attrs).outs), values)[0] as RefArray;
}

/** The result has exactly the elements that `element` gives. */
function expectElements(result: RefArray, shape: Index, element: (index: Index) => number): void {
  expect(result.shape).toEqual(shape);
  for (const index of indicesOf(shape)) expect(at(result, index)).toBeCloseTo(element(index), 10);
}

const put = (index: Index, axis: number, value: number): number[] => index.map((i, a) => (a === axis ? value : i));

describe('stride arithmetic agrees with nested indices', () => {
  it('broadcasting', () => {
    fc.assert(
      fc.property(shapeArb, fc.nat(), fc.nat(), fc.nat(3), (shape, masks, seed, drop) => {
        const narrow = (bits: number, skip: number): number[] => shape.map((n, i) => ((bits >> i) & 1 ? 1 : n)).slice(skip);
        const a = sample(narrow(masks, 0), seed);
        const b = sample(narrow(masks >> 4, Math.min(drop, shape.length)), seed + 1);
        const full = Array.from({ length: shape.length }, (_, i) => {
          const sizes = [a.shape[i] as number, b.shape[i - shape.length + b.shape.length] ?? 1];
          return sizes.find((n) => n !== 1) ?? 1;
        });
        const read = (x: RefArray, index: Index): number =>
          at(
            x,
            index.slice(index.length - x.shape.length).map((i, axis) => (x.shape[axis] === 1 ? 0 : i)),
          );
        expectElements(run('sub', [a, b], {}), full, (index) => read(a, index) - read(b, index));
      }),
    );
  });

  it('transpose and reduction', () => {
    fc.assert(
      fc.property(shapeArb, fc.nat(), fc.nat(15), (shape, seed, bits) => {
        const x = sample(shape, seed);
        const axes = shape.map((_, i) => i);
        const perm =
          fc.sample(fc.shuffledSubarray(axes, { minLength: axes.length, maxLength: axes.length }), { numRuns: 1, seed })[0] ?? axes;
        const turned = run('transpose', [x], { perm });
        expect(turned.shape).toEqual(perm.map((p) => shape[p]));
        for (const index of indicesOf(shape))
          expect(
            at(
              turned,
              perm.map((p) => index[p] as number),
            ),
          ).toBe(at(x, index));

        const reduced = axes.filter((i) => (bits >> i) & 1);
        const kept = shape.map((n, i) => (reduced.includes(i) ? 1 : n));
        expectElements(run('sum', [x], { axes: reduced, keepDims: true }), kept, (index) =>
          [...indicesOf(shape)].filter((i) => index.every((v, a) => reduced.includes(a) || v === i[a])).reduce((t, i) => t + at(x, i), 0),
        );
      }),
    );
  });

  it('slice, pad, concat and cumsum', () => {
    fc.assert(
      fc.property(
        shapeArb.filter((s) => s.every((n) => n > 0)),
        fc.nat(),
        fc.integer({ min: 1, max: 2 }),
        fc.boolean(),
        (shape, seed, step, back) => {
          const x = sample(shape, seed);
          const axis = seed % shape.length;
          const n = shape[axis] as number;
          const sized = (m: number): number[] => put(shape, axis, m);
          const whole = shape.map(() => 0);
          const count = Math.ceil(n / step);
          const attrs = back
            ? {
                starts: put(whole, axis, n - 1),
                limits: put(shape, axis, -1),
                steps: put(
                  whole.map(() => 1),
                  axis,
                  -step,
                ),
              }
            : {
                starts: whole,
                limits: shape,
                steps: put(
                  whole.map(() => 1),
                  axis,
                  step,
                ),
              };
          expectElements(run('slice', [x], attrs), sized(count), (index) => {
            const i = (index[axis] as number) * step;
            return at(x, put(index, axis, back ? n - 1 - i : i));
          });
          expectElements(run('pad', [x], { low: put(whole, axis, 2), high: put(whole, axis, 1), value: 7 }), sized(n + 3), (index) => {
            const i = (index[axis] as number) - 2;
            return i < 0 || i >= n ? 7 : at(x, put(index, axis, i));
          });
          const y = sample(sized(2), seed + 1);
          expectElements(run('concat', [x, y], { axis }), sized(n + 2), (index) => {
            const i = index[axis] as number;
            return i < n ? at(x, index) : at(y, put(index, axis, i - n));
          });
          expectElements(run('cumsum', [x], { axis, exclusive: back, reverse: step === 2 }), shape, (index) => {
            const i = index[axis] as number;
            let total = 0;
            for (let j = 0; j < n; j++) if ((step === 2 ? j > i : j < i) || (!back && j === i)) total += at(x, put(index, axis, j));
            return total;
          });
        },
      ),
    );
  });

  it('gather, takeAlong and scatterAlong', () => {
    fc.assert(
      fc.property(
        shapeArb.filter((s) => s.every((n) => n > 0)),
        fc.nat(),
        fc.integer({ min: 1, max: 3 }),
        (shape, seed, m) => {
          const x = sample(shape, seed);
          const axis = seed % shape.length;
          const n = shape[axis] as number;
          const drawn = (of: Index): RefArray => {
            const size = of.reduce((a, b) => a * b, 1);
            return refArray(
              'i32',
              of,
              Float64Array.from(threefryBits([seed, 7], size), (b) => b % n),
            );
          };
          const pairs = drawn([m, 2]);
          expectElements(run('gather', [x, pairs], { axis }), [...shape.slice(0, axis), m, 2, ...shape.slice(axis + 1)], (index) =>
            at(x, [...index.slice(0, axis), at(pairs, index.slice(axis, axis + 2)), ...index.slice(axis + 2)]),
          );
          const along = drawn(put(shape, axis, m));
          expectElements(run('takeAlong', [x, along], { axis }), along.shape, (index) => at(x, put(index, axis, at(along, index))));
          const updates = sample(along.shape, seed + 2);
          expectElements(run('scatterAlong', [x, along, updates], { axis, mode: 'add' }), shape, (index) => {
            let total = at(x, index);
            for (let j = 0; j < m; j++) if (at(along, put(index, axis, j)) === index[axis]) total += at(updates, put(index, axis, j));
            return total;
          });
        },
      ),
    );
  });

  it('matmul with every storage and broadcast batches', () => {
    const size = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(fc.tuple(size, size, size), fc.nat(), fc.boolean(), fc.boolean(), ([m, k, n], seed, transA, transB) => {
        const a = sample([2, 1, ...(transA ? [k, m] : [m, k])], seed);
        const b = sample([3, ...(transB ? [n, k] : [k, n])], seed + 1);
        expectElements(run('matmul', [a, b], { transA, transB, alpha: -0.5 }), [2, 3, m, n], ([p, q, i, j]) => {
          let total = 0;
          for (let l = 0; l < k; l++) {
            const [row, column] = [i as number, j as number];
            total +=
              at(a, [p as number, 0, ...(transA ? [l, row] : [row, l])]) * at(b, [q as number, ...(transB ? [column, l] : [l, column])]);
          }
          return -0.5 * total;
        });
      }),
    );
  });
});
