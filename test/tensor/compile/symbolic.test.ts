import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { type Dim, dimMul } from '../../../src/tensor/dim.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile, grad, liveSessions, spec } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { relativeError } from './support.js';

const filled = (shape: number[], seed = 1): NDArray =>
  array(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + 1.7 * i)),
    { shape },
  );
const ids = (shape: number[], size: number): NDArray =>
  array(
    Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * 7 + 3) % size),
    { shape },
  );

const size = (t: Tensor, axis: number): Dim => t.shape[axis] as Dim;

/** Results of one symbolic function against functions traced for each shape, in the reference. */
function checkSizes<Args extends unknown[]>(fn: (...args: Args) => unknown, args: readonly unknown[], calls: readonly NDArray[][]): void {
  const before = liveSessions();
  const symbolic = compile(fn, { args });
  const plain = compile(fn, { backend: 'reference' });
  const interpreted = compile(fn, { args, backend: 'reference' });
  const leaves = (r: unknown): NDArray[] => [r].flat() as NDArray[];
  for (const [i, call] of calls.entries()) {
    const wanted = leaves(plain.runSync(...(call as never)));
    const sessions = liveSessions();
    expect(relativeError(leaves(symbolic.runSync(...(call as never))), wanted)).toBeLessThan(2e-5);
    expect(relativeError(leaves(interpreted.runSync(...(call as never))), wanted)).toBeLessThan(1e-6);
    if (i > 0) expect(liveSessions()).toBe(sessions);
  }
  for (const f of [symbolic, plain, interpreted]) f.dispose();
  expect(liveSessions()).toBe(before);
}

describe('one session for every batch size', () => {
  const batches = [1, 2, 5, 3];

  it('means over the batch and their gradients', () => {
    checkSizes(
      (w: Tensor, x: Tensor) => {
        const y = x.matmul(w).tanh();
        const loss = y
          .mean()
          .add(y.square().mean({ axis: 0 }).sum())
          .add(y.variance({ axis: 0 }).sum());
        return [loss, grad(loss, w), grad(loss, x)];
      },
      [undefined, spec('f32', ['B', 3])],
      batches.filter((b) => b > 1).map((b) => [filled([3, 2]), filled([b, 3], b)]),
    );
  });

  it('reshapes that join the batch with other axes', () => {
    checkSizes(
      (w: Tensor, x: Tensor) => {
        const B = size(x, 0);
        const flat = x.reshape([dimMul(B, 4), 3]).matmul(w);
        const back = flat
          .reshape([B, 4, 2])
          .transpose([1, 0, 2])
          .reshape([4, dimMul(B, 2)]);
        const loss = back.softmax().square().sum();
        return [back, grad(loss, w), grad(loss, x)];
      },
      [undefined, spec('f32', ['B', 4, 3])],
      batches.map((b) => [filled([3, 2]), filled([b, 4, 3], b)]),
    );
  });

  it('a small decoder with its loss and gradients', () => {
    const [heads, d, width, vocabulary, steps] = [2, 2, 4, 7, 5];
    checkSizes(
      (embed: Tensor, qkv: Tensor, norm: Tensor, tokens: Tensor, targets: Tensor) => {
        const B = size(tokens, 0);
        const h = ops.embedding(tokens, embed);
        const parts = ops.rmsNorm(h, norm).matmul(qkv).reshape([B, steps, 3, heads, d]).transpose([2, 0, 3, 1, 4]);
        const { cos, sin } = ops.ropeTables(steps, d);
        const [q, k, v] = [0, 1, 2].map((i) => parts.at(i)) as [Tensor, Tensor, Tensor];
        const a = ops.scaledDotProductAttention(ops.applyRotary(q, cos, sin), ops.applyRotary(k, cos, sin), v, { causal: true });
        const y = h.add(a.transpose([0, 2, 1, 3]).reshape([B, steps, width]));
        const loss = ops.linearCrossEntropy(y, embed, targets);
        return [loss, ...Object.values(grad(loss, { embed, qkv, norm }))];
      },
      [undefined, undefined, undefined, spec('i32', ['B', steps]), spec('i32', ['B', steps])],
      batches.map((b) => [
        filled([vocabulary, width]),
        filled([width, 3 * width]),
        filled([width]),
        ids([b, steps], vocabulary),
        ids([b, steps], 5),
      ]),
    );
  });

  it('attention over a symbolic length, with window and bias', () => {
    for (const options of [{}, { causal: true }, { causal: true, window: 3 }])
      checkSizes(
        (q: Tensor, k: Tensor, bias: Tensor) => {
          const y = ops.scaledDotProductAttention(q, k, k, { ...options, bias });
          return [y, ...grad(y.square().sum(), [q, k, bias])];
        },
        [spec('f32', ['B', 2, 'T', 4]), spec('f32', ['B', 1, 'T', 4]), spec('f32', ['T', 'T'])],
        [
          [1, 3],
          [2, 6],
          [1, 150],
        ].map(([b, t]) => [
          filled([b as number, 2, t as number, 4]),
          filled([b as number, 1, t as number, 4], 2),
          filled([t as number, t as number], 3),
        ]),
      );
  });

  it('slices, rolls, pads, masks and cumulative sums of a symbolic axis', () => {
    checkSizes(
      (x: Tensor) => {
        const [B, T] = [size(x, 0), size(x, 1)];
        const shifted = ops.concat([ops.zeros([B, 1]), x.slice({ 1: [0, -1] })], 1);
        const y = shifted
          .roll(1, 1)
          .add(x.flip(1))
          .mul(ops.cast(ops.causalMask(T).slice({ 0: [-1, null] }), 'f32'))
          .cumsum();
        const last = x.at(-1, 1).mul(ops.dimValue(T).cast('f32'));
        const loss = y
          .square()
          .mean()
          .add(last.sum())
          .add(
            x
              .pad({ 1: [1, 2] })
              .tanh()
              .sum(),
          );
        return [y, last, grad(loss, x)];
      },
      [spec('f32', ['B', 'T'])],
      [
        [1, 2],
        [3, 4],
        [2, 7],
      ].map((shape) => [filled(shape)]),
    );
  });

  it('scans over a symbolic number of steps', () => {
    checkSizes(
      (w: Tensor, xs: Tensor) => {
        const B = size(xs, 1);
        const { carry, ys } = ops.scan(
          (h: Tensor, x: Tensor) => {
            const next = h.matmul(w).add(x).tanh();
            return [next, next.sum()];
          },
          { init: ops.zeros([B, 2]), xs },
        );
        return [carry, ys, ...grad(carry.sum().add(ys.square().sum()), [w, xs])];
      },
      [undefined, spec('f32', ['T', 'B', 2])],
      [
        [1, 1],
        [4, 2],
        [6, 3],
      ].map(([t, b]) => [filled([2, 2]), filled([t as number, b as number, 2])]),
    );
  });

  it('checkpointed layers, with values of symbolic shape that come from nowhere', () => {
    checkSizes(
      (w: Tensor, x: Tensor) => {
        const B = size(x, 0);
        const layer = ops.checkpoint((t: Tensor, noise: Tensor) => t.matmul(w).add(noise).tanh().mul(ops.dimValue(B).cast('f32')));
        const h = layer(layer(x, ops.ones([B, 3])), ops.iota([B, 3], 0).cast('f32'));
        const flat = ops.checkpoint((t: Tensor) => t.sin())(h.reshape([dimMul(B, 3)]));
        const loss = flat.sum();
        return [loss, flat, ...grad(loss, [w, x])];
      },
      [undefined, spec('f32', ['B', 3])],
      batches.map((b) => [filled([3, 3]), filled([b, 3], b)]),
    );
  });
});
