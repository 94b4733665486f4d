import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { grad } from '../../../src/tensor/autodiff/index.js';
import { type Graph, isOp, type Tensor, topoSort } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { optimize } from '../../../src/tensor/passes/optimize.js';
import { arg, run } from '../ops/support.js';
import { expectDerivatives, uniform } from './derivatives.js';

describe('control flow', () => {
  const bodyOf = (t: Tensor): Graph => {
    const { node } = t;
    if (!isOp(node, 'scan')) throw new Error('no scan');
    return node.attrs.body;
  };

  it('a scan and its gradient are two scans, also where the forward has readers', () => {
    const [w, xs] = [arg([3]), arg([5, 3])];
    const { carry, ys } = ops.scan(
      (h: Tensor, x: Tensor) => {
        const next = h.mul(w).add(x).tanh();
        return [next, next.mul(2)];
      },
      { init: ops.zeros([3]), xs },
    );
    const loss = carry.sum().add(ys.square().sum());
    const scansOf = (outputs: readonly Tensor[]): number =>
      topoSort(optimize(outputs, 'generic', () => true)).filter((n) => n.op === 'scan').length;
    const dw = grad(loss, w);
    expect(scansOf([loss])).toBe(1);
    expect(scansOf([loss, dw])).toBe(2);
    expect(scansOf([loss, dw, grad(dw.square().sum(), xs)])).toBe(4);
  });

  it('what the gradient would have needed costs nothing without it', () => {
    const { carry, ys } = ops.scan((h: Tensor, x: Tensor) => [h.add(x), h.mul(2)], { init: ops.zeros([3]), xs: arg([5, 3]) });
    const body = (t: Tensor): Graph => bodyOf(optimize([t], 'generic', () => true)[0] as Tensor);
    expect(body(carry).outputs.length).toBe(1);
    expect(body(ys).outputs.length).toBe(2);
  });

  it('scans of several carries, integers, outer values and structured results, both ways', () => {
    for (const reverse of [false, true])
      expectDerivatives(
        (h0, c0, w, xs) => {
          const { carry, ys } = ops.scan(
            ({ h, c, n }: { h: Tensor; c: Tensor; n: Tensor }, { x, i }: { x: Tensor; i: Tensor }) => {
              const next = h.matmul(w).add(x).tanh();
              const cell = c.mul(ops.sigmoid(next)).add(ops.cast(n.add(i), 'f32').mul(0.1));
              return [
                { h: next, c: cell, n: n.add(1) },
                { a: cell.mul(x), unused: next, index: n },
              ];
            },
            { init: { h: h0, c: c0, n: ops.scalar(2, 'i32') }, xs: { x: xs, i: ops.arange(4) }, reverse },
          );
          return carry.c
            .square()
            .sum()
            .add(ys.a.mul(ops.cast(ys.index, 'f32').unsqueeze(-1)).sum());
        },
        uniform(3),
        uniform(3),
        uniform(3, 3),
        uniform(4, 3),
      );
  });

  it('scans in scans, a scan without carries, and one whose carry nothing reads', () => {
    expectDerivatives(
      (w, xs) =>
        ops
          .scan(
            (h: Tensor, row: Tensor) => {
              const inner = ops.scan((s: Tensor, x: Tensor) => [s.mul(w).add(x.mul(h)).sin(), null], { init: h, xs: row });
              return [inner.carry, inner.carry.mul(row.sum())];
            },
            { init: ops.scalar(0.5), xs },
          )
          .ys.sum(),
      uniform(),
      uniform(3, 2),
    );
    expectDerivatives(
      (w, xs) => ops.scan((_: null, x: Tensor) => [null, x.mul(w).exp()], { init: null, xs }).ys.sum(),
      uniform(2),
      uniform(3, 2),
    );
  });

  it('checkpoints: nested, in a scan, around a scan, over captured tensors', () => {
    expectDerivatives(
      (w, x) => {
        const inner = ops.checkpoint((t: Tensor) => t.matmul(w).tanh());
        const outer = ops.checkpoint((t: Tensor) => inner(inner(t)).add(w.sum()));
        return outer(outer(x)).square().sum();
      },
      uniform(2, 2),
      uniform(3, 2),
    );
    expectDerivatives(
      (w, xs) =>
        ops
          .scan(
            (h: Tensor, x: Tensor) => {
              const next = ops.checkpoint((a: Tensor, b: Tensor) => a.mul(w).add(b).tanh())(h, x);
              return [next, null];
            },
            { init: ops.zeros([2]), xs },
          )
          .carry.sum(),
      uniform(2),
      uniform(3, 2),
    );
    expectDerivatives(
      (w, xs) =>
        ops.checkpoint((v: Tensor) =>
          ops.scan((h: Tensor, x: Tensor) => [h.mul(w).add(x).tanh(), null], { init: ops.zeros([2]), xs: v }).carry.sum(),
        )(xs),
      uniform(2),
      uniform(3, 2),
    );
  });

  it('customVjp in a checkpoint and in a scan', () => {
    const cube = ops.customVjp(
      (x) => ({ out: (x as Tensor).pow(3), saved: [x as Tensor] }),
      ([g], [x]) => [(g as Tensor).mul((x as Tensor).square()).mul(3)],
    );
    expectDerivatives((x) => ops.checkpoint((t: Tensor) => cube(t.mul(2)).sum())(x), uniform(3));
    expectDerivatives((xs) => ops.scan((h: Tensor, x: Tensor) => [cube(h.add(x)), null], { init: ops.scalar(0.3), xs }).carry, uniform(3));
  });

  it('a backward rule that uses a tensor of its surroundings', () => {
    const scaled = (w: Tensor) =>
      ops.customVjp(
        (x) => ({ out: (x as Tensor).mul(w) }),
        ([g]) => [(g as Tensor).mul(w)],
      );
    // an outer tensor becomes an argument of the checkpoint or scan, as it does in the forward
    const viaCheckpoint = (w: Tensor, x: Tensor): Tensor => ops.checkpoint((t: Tensor) => scaled(w)(t).sum())(x);
    const viaScan = (w: Tensor, x: Tensor): Tensor =>
      ops.scan((h: Tensor, v: Tensor) => [h.add(scaled(w)(v)), null], { init: ops.scalar(0), xs: x }).carry;
    for (const f of [viaCheckpoint, viaScan]) expect(run((w, x) => grad(f(w, x), x), array(3), array([1, 2])).data).toEqual([3, 3]);
  });
});
