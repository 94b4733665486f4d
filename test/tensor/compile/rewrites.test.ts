import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encode, NDArray } from '../../../src/tensor/array.js';
import { prepareGraph } from '../../../src/tensor/compile/sessions.js';
import { apply, type Graph, isOp, type Node, type Tensor, topoSort } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { attentionOperands } from '../autodiff/structureCases.js';
import { Draw } from '../onnx/draw.js';
import { randomGraph } from './randomGraph.js';
import { execute, relativeError, withGradients } from './support.js';

const tolerance = 5e-5;
const nodes = (graph: Graph): Node[] => topoSort(prepareGraph(graph, { backend: 'ort' }).outputs);
const count = (graph: Graph, op: string): number => nodes(graph).filter((n) => n.op === op).length;

/** Results and gradients by all drawn float inputs on both executors; returns the graph for a look at its optimised form. */
function check(d: Draw, outs: readonly Tensor[], wrt = d.inputs.filter((t) => t.dtype === 'f32')): Graph {
  const { graph, values } = withGradients(d, outs, wrt);
  expect(relativeError(execute(graph, values, 'ort'), execute(graph, values, 'reference'))).toBeLessThan(tolerance);
  return graph;
}

const property = (numRuns: number, f: (d: Draw) => void): void =>
  fc.assert(
    fc.property(fc.gen(), (g) => f(new Draw(g))),
    { numRuns },
  );

describe('causal attention in blocks of queries', () => {
  it.each([129, 200, 256, 300])('of %i positions, with grouped heads, window, soft cap, bias and longer keys', (tq) => {
    property(4, (d) => {
      const { q, k, v, bias, attrs } = attentionOperands(d, { tq, extraKeys: d.pick([0, 0, 5]) });
      const causal = { ...attrs, causal: true, window: d.pick([0, 0, 40, 150]) };
      const keys = k.shape[2] as number;
      if (keys < tq) return;
      const out = apply('attention', bias ? [q, k, v, bias] : [q, k, v], causal);
      const graph = check(d, [out], d.bool() || !bias ? [q, k, v] : [q, k, v, bias]);
      expect(count(graph, 'softmax')).toBe(Math.ceil(tq / 128));
    });
  });
});

describe('fused projections', () => {
  /** x [B, T, K] times a joint weight, cut into parts in one of the ways that models do it. */
  const cut = (d: Draw, joint: Tensor, parts: number, width: number): Tensor[] => {
    const [batch, steps] = joint.shape as number[];
    const way = d.int(0, 2);
    if (way === 0) return ops.split(joint, parts, -1);
    const split = joint.reshape([batch as number, steps as number, parts, width]);
    if (way === 1) return Array.from({ length: parts }, (_, i) => split.at(i, 2));
    const first = split.transpose([2, 0, 1, 3]);
    return Array.from({ length: parts }, (_, i) => first.at(i));
  };

  it('slices of a joint product, used together and alone', () => {
    property(25, (d) => {
      const [batch, steps, inner, parts, width] = [d.int(1, 3), d.int(4, 9), d.int(1, 3), d.int(2, 3), d.pick([2, 4])];
      const transB = d.bool();
      const x = d.input('f32', [batch, steps, inner], -1, 1);
      const w = d.input('f32', transB ? [parts * width, inner] : [inner, parts * width], -1, 1);
      const pieces = cut(d, ir.matmul(x.tanh(), w, { transB, alpha: d.pick([1, 0.5]) }), parts, width);
      const [a, b, c] = pieces as [Tensor, Tensor, Tensor | undefined];
      const outs = [a.silu().mul(b), ...(c ? [c.sin()] : [])];
      // a part that nothing reads, or one that is read twice
      check(d, d.bool() ? outs : [a.mul(a), outs[0] as Tensor]);
    });
  });

  it('a gated layer needs no slice of the joint product, and its gradient no joint cotangent', () => {
    const d = new Draw(fc.sample(fc.gen(), 1)[0] as never);
    const [x, w, down] = [d.input('f32', [2, 16, 4], -1, 1), d.input('f32', [4, 12], -1, 1), d.input('f32', [6, 4], -1, 1)];
    const [gate, up] = x.matmul(w).split(2) as [Tensor, Tensor];
    const graph = check(d, [gate.silu().mul(up).matmul(down)]);
    const sliced = nodes(graph).filter((n) => n.op === 'slice' || n.op === 'pad');
    expect(sliced.every((n) => n.inputs[0]?.node.op === 'input')).toBe(true);
  });

  it('query, key and value heads of different numbers', () => {
    property(8, (d) => {
      const [batch, steps, width, size, kvHeads, group] = [d.int(1, 2), d.int(5, 8), 4, 2, d.int(1, 2), d.int(1, 2)];
      const heads = kvHeads * group;
      const x = d.input('f32', [batch, steps, width], -1, 1);
      const w = d.input('f32', [width, (heads + 2 * kvHeads) * size], -1, 1);
      const out = d.input('f32', [heads * size, width], -1, 1);
      const parts = ops.split(x.matmul(w), [heads * size, kvHeads * size, kvHeads * size], -1);
      const split = parts.map((t) => t.reshape([batch, steps, -(-(t.shape[2] as number) / size), size]).transpose([0, 2, 1, 3]));
      const { cos, sin } = ops.ropeTables(steps, size);
      const [q, k, v] = split as [Tensor, Tensor, Tensor];
      const mixed = ops.scaledDotProductAttention(ops.applyRotary(q, cos, sin), ops.applyRotary(k, cos, sin), v, { causal: true });
      check(d, [
        mixed
          .transpose([0, 2, 1, 3])
          .reshape([batch, steps, heads * size])
          .matmul(out),
      ]);
    });
  });
});

describe('tied embeddings', () => {
  it('scatter their gradient into that of the output layer', () => {
    property(6, (d) => {
      const [rows, width, vocabulary] = [d.int(1, 6), d.int(1, 4), d.int(2, 5)];
      const table = d.input('f32', [vocabulary, width], -1, 1);
      const ids = d.input('i32', [rows], 0, vocabulary - 1);
      const loss = ops.linearCrossEntropy(ops.embedding(ids, table).tanh(), table, ids);
      const graph = check(d, [loss], [table]);
      expect(count(graph, 'scatterAdd')).toBe(0);
    });
  });
});

describe('factors', () => {
  it('of products go into alpha only where the plain product has no other reader', () => {
    property(10, (d) => {
      const [a, b] = [d.input('f32', [3, 2]), d.input('f32', [2, 4])];
      const product = a.matmul(b, { alpha: d.pick([1, 2]) });
      const factor = d.pick([ir.scalar(0.5), ops.constant(new NDArray('f32', [1, 1], Float32Array.of(-3)))]);
      const scaled = d.bool() ? product.mul(factor) : ops.mul(factor, product).mul(2);
      check(d, d.bool() ? [scaled] : [scaled, product.tanh()]);
    });
    const d = new Draw(fc.sample(fc.gen(), 1)[0] as never);
    const graph = check(
      d,
      [
        d
          .input('f32', [3, 2])
          .matmul(d.input('f32', [2, 4]))
          .mul(0.5),
      ],
      [],
    );
    expect(nodes(graph).map((n) => n.op)).not.toContain('mul');
  });

  it('of a larger rank than the product stay', () => {
    const d = new Draw(fc.sample(fc.gen(), 1)[0] as never);
    const factor = ops.constant(new NDArray('f32', [1, 1, 1], Float32Array.of(2)));
    check(d, [
      d
        .input('f32', [3, 2])
        .matmul(d.input('f32', [2, 4]))
        .mul(factor),
    ]);
  });

  it('of optimizer updates are merged without a change of the result', () => {
    property(20, (d) => {
      const shape = d.shape(1, 2, () => d.int(2, 4));
      const [p, m, v, g] = Array.from({ length: 4 }, () => d.input('f32', shape, 0.1, 2)) as [Tensor, Tensor, Tensor, Tensor];
      const [lr, decay, clip] = Array.from({ length: 3 }, () => d.input('f32', [], 0.1, 0.9)) as [Tensor, Tensor, Tensor];
      const clipped = g.mul(clip);
      const first = m.mul(0.9).add(clipped.mul(0.1));
      const second = v.mul(0.99).add(clipped.mul(clipped).mul(0.01));
      const direction = first.mul(lr).div(second.sqrt().add(1e-3));
      const update = d.bool() ? direction.add(p.mul(decay)) : direction;
      const step = d.bool() ? p.add(update.mul(lr.neg())) : p.sub(update.mul(lr));
      check(d, [step, first, ...(d.bool() ? [second, clipped] : [])]);
    });
  });

  it('of integers keep their truncating division', () => {
    const whole = (values: number[]): NDArray => new NDArray('i32', [values.length], encode('i32', values));
    const d = new Draw(fc.sample(fc.gen(), 1)[0] as never);
    const [i, j, k] = [d.given(whole([7, -7, 5])), d.given(whole([2, 2, 3])), d.given(new NDArray('i32', [], Int32Array.of(3)))];
    check(d, [i.div(j).mul(2), i.div(j).mul(k), i.mul(k).add(j.mul(k).mul(2)), i.add(j.add(i.mul(k)).mul(2))], []);
  });
});

describe('bodies of scans', () => {
  it('are simplified like other graphs', () => {
    const d = new Draw(fc.sample(fc.gen(), 1)[0] as never);
    const [w, xs] = [d.input('f32', [3]), d.input('f32', [4, 3])];
    const { carry } = ops.scan((h: Tensor, x: Tensor) => [h.mul(1).add(0).mul(w).add(ops.exp(x)).add(ops.exp(x).mul(0.5)).tanh(), h], {
      init: ops.zeros([3]),
      xs,
    });
    const graph = check(d, [carry]);
    const bodies = nodes(graph).flatMap((n) => (isOp(n, 'scan') ? [topoSort(n.attrs.body.outputs).map((b) => b.op)] : []));
    expect(bodies.length).toBe(2);
    for (const ops of bodies) expect(ops.filter((op) => op === 'exp').length).toBeLessThanOrEqual(1);
    expect(bodies[0]?.filter((op) => op === 'mul').length).toBe(2);
  });
});

describe('random graphs', () => {
  it('mean the same after all rewrites', () => {
    property(120, (d) => {
      const outs = randomGraph(d);
      check(d, outs);
    });
  });
});
