import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { grad } from '../../../src/tensor/autodiff/index.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { run } from './support.js';

/** Gradient of sum(f(x) * weights), the weights being 1, 2, 3, ... */
const slope = (f: (x: Tensor) => Tensor, xs: readonly number[]): readonly number[] =>
  run((x) => {
    const y = f(x);
    return grad(y.mul(ops.arange(1, 1 + (y.shape[0] as number)).cast('f32')).sum(), x);
  }, array(xs)).data;

const points = [-20, -1.5, -0.4, -1e-6, 0, 1e-6, 0.3, 0.5, 2, 20];

describe('gradients of composed functions', () => {
  it.each([
    ['roundSte', ops.roundSte],
    ['floorSte', ops.floorSte],
    ['signSte', ops.signSte],
    ['clipSte', (x: Tensor) => ops.clipSte(x, -1, 1)],
  ])('%s passes the gradient straight through', (_name, f) => {
    expect(slope(f, points)).toEqual(points.map((_, i) => i + 1));
  });

  it.each<[string, (x: Tensor) => Tensor, (x: number) => number, readonly number[]]>([
    ['log1p', ops.log1p, (x) => 1 / (1 + x), points.filter((x) => x > -1)],
    ['expm1', ops.expm1, Math.exp, points],
    ['softplus', ops.softplus, (x) => 1 / (1 + Math.exp(-x)), points],
    ['logSigmoid', ops.logSigmoid, (x) => 1 / (1 + Math.exp(x)), points],
    ['leakyRelu', (x) => ops.leakyRelu(x, 0.25), (x) => (x > 0 ? 1 : 0.25), points.filter((x) => x !== 0)],
    ['rsqrt', ops.rsqrt, (x) => -0.5 * x ** -1.5, points.filter((x) => x > 0)],
  ])('%s', (_name, f, derivative, xs) => {
    const got = slope(f, xs);
    xs.forEach((x, i) => {
      const expected = (i + 1) * derivative(Math.fround(x));
      expect(Math.abs((got[i] as number) - expected)).toBeLessThanOrEqual(1e-9 * Math.abs(expected) + 1e-15);
    });
  });

  it('are finite where a root or a logarithm is not', () => {
    expect(run((x) => grad(x.norm(), x), array([0, 0])).data).toEqual([0, 0]);
    expect(run((x) => grad(x.norm().mul(5), x), array([3, 4])).data.map((g) => Math.round(g * 1e9) / 1e9)).toEqual([3, 4]);
    expect(run((x) => grad(ops.l2Normalize(x).sum(), x), array([0, 0])).data.every(Number.isFinite)).toBe(true);
    const half = Math.fround(Math.log(3));
    const p = run((x) => grad(x.logsumexp(), x), array([0, half, Number.NEGATIVE_INFINITY])).data;
    [0.25, 0.75, 0].forEach((v, i) => {
      expect(p[i]).toBeCloseTo(v, 6);
    });
  });

  it('flow through scan, checkpoint and customVjp', () => {
    const xs = array([0.5, -1, 2]);
    // h_t = 2 h_(t-1) + x_t^2: d(h_3)/d(x_t) = 2^(3-t) * 2 x_t
    const recurrence = (x: Tensor): Tensor =>
      ops.scan((h: Tensor, v: Tensor) => [h.mul(2).add(v.mul(v)), null], { init: ops.scalar(0), xs: x }).carry;
    expect(run((x) => grad(recurrence(x), x), xs).data).toEqual([4, -4, 4]);
    // An outer tensor that the body captures has a gradient too: h = w^3 for xs of three ones.
    const power = (w: Tensor): Tensor =>
      ops.scan((h: Tensor, v: Tensor) => [h.mul(w).mul(v), null], { init: ops.scalar(1), xs: ops.ones([3]) }).carry;
    expect(run((w) => grad(power(w), w), array(2)).data).toEqual([12]);
    const captured = (w: Tensor, x: Tensor): Tensor =>
      ops
        .checkpoint((v: Tensor) => v.mul(w).exp())(x)
        .sum();
    const plain = (w: Tensor, x: Tensor): Tensor => x.mul(w).exp().sum();
    const [w, x] = [array([0.25, 0.5]), array([1, -2])];
    expect(run((a, b) => grad(captured(a, b), a), w, x)).toEqual(run((a, b) => grad(plain(a, b), a), w, x));
    const tripled = ops.customVjp(
      (v) => ({ out: v.exp() }),
      ([g]) => [(g as Tensor).mul(3)],
    );
    expect(run((v) => grad(tripled(v.mul(2)).sum(), v), x).data).toEqual([6, 6]);
  });
});
