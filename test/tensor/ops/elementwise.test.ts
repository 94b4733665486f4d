import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arrayOf, build, distance, pick, run, shapeOf } from './support.js';

const binary: Record<string, [(a: Tensor, b: Tensor) => Tensor, (a: number, b: number) => number]> = {
  add: [ops.add, (a, b) => a + b],
  sub: [ops.sub, (a, b) => a - b],
  mul: [ops.mul, (a, b) => a * b],
  div: [ops.div, (a, b) => a / b],
  maximum: [ops.maximum, Math.max],
  minimum: [ops.minimum, Math.min],
  mod: [ops.mod, (a, b) => a - Math.floor(a / b) * b],
  eq: [ops.eq, (a, b) => Number(a === b)],
  ne: [ops.ne, (a, b) => Number(a !== b)],
  lt: [ops.lt, (a, b) => Number(a < b)],
  le: [ops.le, (a, b) => Number(a <= b)],
  gt: [ops.gt, (a, b) => Number(a > b)],
  ge: [ops.ge, (a, b) => Number(a >= b)],
};

describe('binary operations', () => {
  it.each(Object.entries(binary))('%s broadcasts', (name, [op, plain]) => {
    const pair = shapeOf({ minRank: 1 })
      .chain((shape) =>
        fc.tuple(fc.constant(shape), fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }), fc.nat(shape.length)),
      )
      .chain(([shape, ones, drop]) => {
        const other = shape.map((d, i) => (ones[i] ? 1 : d)).slice(drop);
        return fc.tuple(fc.constant(shape), arrayOf(shape), arrayOf(other));
      });
    fc.assert(
      fc.property(pair, ([shape, a, b]) => {
        const [av, bv] = [a.toNumbers(), b.toNumbers()];
        fc.pre(!['div', 'mod'].includes(name) || bv.every((v) => v !== 0));
        const expected = build(shape, (index) => {
          const other = index.slice(shape.length - b.shape.length).map((i, axis) => (b.shape[axis] === 1 ? 0 : i));
          return plain(pick(a, av, index), pick(b, bv, other));
        });
        expect(distance(run(op, a, b), expected)).toBeLessThan(1e-12);
      }),
      { numRuns: 40 },
    );
  });

  it('give numbers the dtype of the tensor, on either side', () => {
    const x = array([7, -7], { dtype: 'i32' });
    expect(run((t) => t.div(2), x).data).toEqual([3, -3]);
    expect(run((t) => t.mod(3), x).data).toEqual([1, 2]);
    expect(run((t) => ops.sub(10, t), x).data).toEqual([3, 17]);
    expect(run((t) => ops.add(t, array([1, 2], { dtype: 'i32' })), x).data).toEqual([8, -5]);
  });
});

const points = [-30, -3.5, -0.5, -1e-3, -1e-7, 0, 1e-7, 1e-3, 0.25, 0.5, 2.5, 30];

describe('composed functions', () => {
  const cases: [string, (x: Tensor) => Tensor, (x: number) => number, number[]][] = [
    ['square', ops.square, (x) => x * x, points],
    ['rsqrt', ops.rsqrt, (x) => 1 / Math.sqrt(x), points.filter((x) => x > 0)],
    ['expm1', ops.expm1, Math.expm1, points],
    ['log1p', ops.log1p, Math.log1p, points.filter((x) => x > -1)],
    ['softplus', ops.softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), points],
    ['logSigmoid', ops.logSigmoid, (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))), points],
    ['relu', ops.relu, (x) => Math.max(x, 0), points],
    ['leakyRelu', (x) => ops.leakyRelu(x, 0.2), (x) => (x > 0 ? x : Math.fround(0.2) * x), points],
    ['clip', (x) => ops.clip(x, -1, 2), (x) => Math.min(2, Math.max(-1, x)), points],
    ['one-sided clip', (x) => ops.clip(x, undefined, 2), (x) => Math.min(2, x), points],
    ['roundSte', ops.roundSte, (x) => [-4, 2, 0][[-3.5, 2.5].indexOf(x)] ?? (Math.abs(x) <= 0.5 ? 0 : x), points],
    ['floorSte', ops.floorSte, Math.floor, points],
    ['signSte', ops.signSte, Math.sign, points],
    ['clipSte', (x) => ops.clipSte(x, -1, 1), (x) => Math.min(1, Math.max(-1, x)), points],
  ];
  it.each(cases)('%s', (_name, op, plain, xs) => {
    const got = run(op, array(xs)).data;
    xs.forEach((x, i) => {
      const expected = plain(Math.fround(x));
      expect(Math.abs((got[i] as number) - expected)).toBeLessThanOrEqual(1e-11 * Math.abs(expected));
    });
  });

  it('stay finite or infinite where the mathematics does', () => {
    const xs = array([Number.NEGATIVE_INFINITY, -200, 200, Number.POSITIVE_INFINITY]);
    expect(run(ops.softplus, xs).data).toEqual([0, Math.exp(-200), 200, Number.POSITIVE_INFINITY]);
    expect(run(ops.log1p, array([-1, Number.POSITIVE_INFINITY])).data).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
    expect(run(ops.isNan, array([Number.NaN, 1, Number.POSITIVE_INFINITY])).data).toEqual([1, 0, 0]);
    expect(run(ops.isFiniteValue, array([Number.NaN, 1, Number.NEGATIVE_INFINITY])).data).toEqual([0, 1, 0]);
  });
});

describe('creation', () => {
  it('counts', () => {
    expect(run(() => ops.arange(4)).data).toEqual([0, 1, 2, 3]);
    expect(run(() => ops.arange(2, 9, 3)).data).toEqual([2, 5, 8]);
    expect(run(() => ops.arange(3, -2, -2)).data).toEqual([3, 1, -1]);
    expect(run(() => ops.arange(0, 1, 0.25)).data).toEqual([0, 0.25, 0.5, 0.75]);
    expect(run(() => ops.arange(5, 2)).shape).toEqual([0]);
    expect(run(() => ops.iota([2, 3], -1)).data).toEqual([0, 1, 2, 0, 1, 2]);
    expect(run(() => ops.eye(2, 3)).data).toEqual([1, 0, 0, 0, 1, 0]);
    expect(run(() => ops.full([2, 2], 7, 'i64')).data).toEqual([7, 7, 7, 7]);
    expect(run((x) => ops.onesLike(x), array([[3, 4]])).data).toEqual([1, 1]);
    expect(run((x) => ops.oneHot(x, 3), array([2, 0, -1], { dtype: 'i32' })).data).toEqual([0, 0, 1, 1, 0, 0, 0, 0, 0]);
  });
});
