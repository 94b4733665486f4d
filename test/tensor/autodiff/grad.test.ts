import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { grad, valueAndGrad, vjp } from '../../../src/tensor/autodiff/index.js';
import { sym } from '../../../src/tensor/dim.js';
import { makeNode, type Tensor, topoSort } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arg, run, runAll } from '../ops/support.js';
import { expectDerivatives, uniform } from './derivatives.js';

const errorOf = (f: () => unknown): string => {
  try {
    f();
  } catch (e) {
    return (e as Error).message;
  }
  throw new Error('no error');
};

describe('grad', () => {
  it('has the structure of what is differentiated by: parameters, inputs and intermediate values', () => {
    const [w, x] = [arg([2, 3]), arg([4, 2])];
    const h = x.matmul(w).tanh();
    const loss = h.mul(h).sum();
    const g = grad(loss, { layers: [{ w }], x, hidden: { h }, absent: undefined, loss });
    expect(Object.keys(g)).toEqual(['layers', 'x', 'hidden', 'absent', 'loss']);
    expect(g.layers[0]?.w.shape).toEqual([2, 3]);
    expect(g.x.shape).toEqual([4, 2]);
    const [values, dw, dx] = [[uniform(2, 3), uniform(4, 2)], w, x];
    const evaluateAt = (t: Tensor): readonly number[] => run((a, b) => substituted(t, [dw, a], [dx, b]), ...values).data;
    expect(evaluateAt(g.loss)).toEqual([1]);
    // dL/dh = 2 h, seen from the intermediate value itself
    expect(evaluateAt(g.hidden.h)).toEqual(evaluateAt(h.mul(2)));
    expectDerivatives((a, b) => b.matmul(a).tanh().square().sum(), ...values);
  });

  it('gives zeros where nothing depends on a leaf, of symbolic shape too', () => {
    const [x, y] = [arg([2]), arg([sym('B'), 3])];
    const g = grad(ops.stopGradient(x).mul(ops.floor(x)).sum(), { x, y });
    expect(g.y.shape.map(String)).toEqual(['B', '3']);
    expect(run((a) => substituted(g.x, [x, a]), array([1.5, 2])).data).toEqual([0, 0]);
  });

  it('differentiates by a value behind stopGradient, but not through it', () => {
    const [dx, dh] = runAll(
      (x) => {
        const h = ops.stopGradient(x.mul(3));
        const g = grad(h.mul(h).sum(), { x, h });
        return [g.x, g.h];
      },
      array([1, 2]),
    );
    expect([dx?.data, dh?.data]).toEqual([
      [0, 0],
      [6, 12],
    ]);
  });

  it('counts every use of a value once', () => {
    expect(run((x) => grad(x.mul(x).add(x).sub(x.neg()).sum(), x), array([3])).data).toEqual([8]);
    expect(run((x) => ops.stack(vjp([x, x.mul(2)], [x], [ops.ones([1]), ops.ones([1])]) as Tensor[]), array([3])).data).toEqual([3]);
  });

  it('returns auxiliary results beside the gradient', () => {
    const [loss, aux, g] = runAll(
      (x) => {
        const f = valueAndGrad((p: { x: Tensor }, scale: number) => {
          const y = p.x.mul(scale);
          return [y.mul(y).sum(), { y }] as const;
        });
        const [[value, { y }], gradient] = f({ x }, 2);
        return [value, y, gradient.x];
      },
      array([1, 2]),
    );
    expect([loss?.data, aux?.data, g?.data]).toEqual([[20], [2, 4], [8, 16]]);
  });

  it('passes through half-precision storage with f32 gradients', () => {
    const g = run((x) => grad(x.cast('f16').reshape([2, 2]).transpose().cast('f32').square().sum(), x), array([1, 2, 3, 4]));
    expect(g.data).toEqual([2, 4, 6, 8]);
    const half = arg([2], 'f16');
    expect(grad(half.cast('f32').sum(), half).dtype).toBe('f32');
  });
});

const substituted = (t: Tensor, ...pairs: [Tensor, Tensor][]): Tensor => {
  const map = new Map(pairs);
  const copies = new Map<Tensor, Tensor>(map);
  for (const node of topoSort([t], map)) {
    if (node.op === 'input') continue;
    const copy = makeNode(
      node.op,
      node.inputs.map((x) => copies.get(x) ?? x),
      node.attrs,
    );
    for (const [i, out] of node.outs.entries()) copies.set(out, copy.out(i));
  }
  return copies.get(t) ?? t;
};

describe('what cannot be differentiated', () => {
  it('says so for integers', () => {
    const [n, x] = [arg([3], 'i32'), arg([3])];
    expect(errorOf(() => grad(x.sum(), n))).toMatch(/grad: cannot differentiate with respect to i32\[3\]; only floating-point/);
    expect(errorOf(() => grad(n.sum(), x))).toMatch(/the output i32\[\] is not floating-point; cast the loss to f32/);
  });

  it('says so for a loss that is no scalar, for cotangents of another shape, and for leaves that are no tensors', () => {
    const x = arg([3]);
    expect(errorOf(() => grad(x, x))).toMatch(/the loss must be a scalar, got shape \[3\]; reduce it/);
    expect(errorOf(() => vjp([x], [x], [arg([2])]))).toMatch(/cotangent \[2\] for an output of shape \[3\]/);
    expect(errorOf(() => vjp([x], [x], []))).toMatch(/cotangent missing/);
    expect(errorOf(() => grad(x.sum(), { x, lr: 0.1 }))).toMatch(/"wrt" must hold tensors only, found number/);
  });

  it('names the op, the reason and the line of the caller', () => {
    const t = (...shape: number[]): Tensor => arg(shape);
    const cache = ops.cachedAttention(
      { q: t(1, 1, 8), k: t(1, 1, 8), v: t(1, 1, 8), pastK: t(1, 1, 4, 8), pastV: t(1, 1, 4, 8), length: arg([1], 'i32') },
      { heads: 1 },
    );
    const q = cache.out.node.inputs[0] as Tensor;
    const message = errorOf(() => grad(cache.out.sum(), q));
    expect(message).toMatch(/^cachedAttention: has no gradient: it serves decoding over a cache; train with attention/);
    expect(message).toMatch(/grad\.test\.ts:\d+:\d+$/);
    // a path that ends in an index is no path
    expect(() => grad(q.mul(ops.argmax(q).cast('f32').sum()).sum(), q)).not.toThrow();
  });
});

describe('points where a rule needs care', () => {
  it('powers of zero', () => {
    expect(run((x, y) => grad(x.pow(y).sum(), x), array([0, 0, 0, 2]), array([0, 1, 2, 0])).data).toEqual([0, 1, 0, 0]);
    expect(run((x, y) => grad(x.pow(y).sum(), y), array([0, 0, 1]), array([0, 2, 3])).data).toEqual([0, 0, 0]);
    expect(run((x) => grad(x.pow(2).sum(), x), array([0, -3])).data).toEqual([0, -6]);
  });

  it('ties share a gradient', () => {
    expect(run((x) => grad(x.max(), x), array([1, 3, 3])).data).toEqual([0, 0.5, 0.5]);
    expect(run((x) => grad(x.maximum(ops.stopGradient(x)).sum(), x), array([1])).data).toEqual([0.5]);
  });

  it('products with zeros', () => {
    expect(run((x) => grad(x.prod(), x), array([0, 2, 3])).data).toEqual([6, 0, 0]);
    expect(run((x) => grad(x.prod(), x), array([0, 2, 0])).data).toEqual([0, 0, 0]);
  });

  it('the curvature of a loss whose classes are all equally likely', () => {
    const targets = array([0, 2, 2], { dtype: 'i32' });
    const zeros = array(new Float32Array(8), { shape: [4, 2] });
    expectDerivatives((x, w) => ops.linearCrossEntropy(x, w, ops.constant(targets)), uniform(3, 2), zeros);
    expectDerivatives(
      (x, w) => ops.linearCrossEntropy(x, w, ops.constant(targets)),
      array(new Float32Array(6), { shape: [3, 2] }),
      uniform(4, 2),
    );
    expectDerivatives((x) => ops.crossEntropy(x, ops.constant(targets)), array(new Float32Array(12), { shape: [3, 4] }));
  });

  it('losses of which no target counts', () => {
    const ignored = ops.constant(array([-1, -1], { dtype: 'i32' }));
    expect(run((x) => grad(ops.crossEntropy(x, ignored), x), uniform(2, 3)).data).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('empty arrays', () => {
    expect(run((x, w) => grad(x.matmul(w).sum(), w), uniform(0, 2), uniform(2, 3)).data).toEqual([0, 0, 0, 0, 0, 0]);
    expect(
      run(
        (x) =>
          grad(
            ops
              .concat([x, ops.zeros([0])])
              .square()
              .sum(),
            x,
          ),
        array([1, 2]),
      ).data,
    ).toEqual([2, 4]);
  });
});

describe('Hessian-vector products of a model', () => {
  it('attention, rmsNorm, rotary, a gated layer and the linear cross-entropy together', () => {
    const [heads, d, t] = [2, 2, 3];
    const width = heads * d;
    const targets = ops.constant(array([[1, 4, 0]], { dtype: 'i32' }));
    const { cos, sin } = ops.ropeTables(t, d);
    expectDerivatives(
      (embed, qkv, norm, gate, out) => {
        const h = ops.embedding(ops.constant(array([[0, 3, 2]], { dtype: 'i32' })), embed);
        const split = ops.rmsNorm(h, norm).matmul(qkv).reshape([1, t, 3, heads, d]).transpose([2, 0, 3, 1, 4]);
        const [q, k, v] = [0, 1, 2].map((i) => split.at(i)) as [Tensor, Tensor, Tensor];
        const a = ops.scaledDotProductAttention(ops.applyRotary(q, cos, sin), ops.applyRotary(k, cos, sin), v, {
          causal: true,
          softcap: 3,
        });
        const mixed = h.add(a.transpose([0, 2, 1, 3]).reshape([1, t, width]));
        const y = mixed.add(mixed.matmul(gate).silu().matmul(out));
        return ops.linearCrossEntropy(y, embed, targets);
      },
      uniform(5, width),
      uniform(width, 3 * width),
      uniform(width),
      uniform(width, 3),
      uniform(3, width),
    );
  });
});
