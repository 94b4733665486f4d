import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { compile } from '../../../src/tensor/compile/compile.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';

// The reference interpreter works in float64, where the plain formulas would pass as well.
describe('in float32 on ONNX Runtime', () => {
  const xs = [-0.9, -0.3, -1e-3, -1e-7, 1e-9, 1e-7, 3e-5, 1e-3, 0.2, 0.49, 0.51, 3];
  it.each<[string, (x: Tensor) => Tensor, (x: number) => number, number[]]>([
    ['log1p', ops.log1p, Math.log1p, xs],
    ['expm1', ops.expm1, Math.expm1, xs],
    ['softplus', ops.softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), [-60, -20, -3, 0, 3, 20, 60]],
    ['logsumexp', (x) => ops.logsumexp(ops.stack([x, x]), { axis: 0 }), (x) => x + Math.LN2, [-300, -1, 2, 300]],
  ])('%s keeps its relative accuracy', async (_name, f, plain, points) => {
    const got = (await compile((x: Tensor) => f(x)).run(array(points))).toNumbers();
    points.forEach((x, i) => {
      const expected = plain(Math.fround(x));
      expect(Math.abs((got[i] as number) - expected)).toBeLessThanOrEqual(5e-7 * Math.abs(expected));
    });
  });
});
