import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { sym } from '../../../src/tensor/dim.js';
import { isOp, type Node, type Tensor, topoSort } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arg, arrayOf, run, runAll } from './support.js';

const nodesOf = (t: Tensor, op: string): Node[] => topoSort([t]).filter((n) => n.op === op);

describe('scan', () => {
  it('runs a recurrence, forwards and backwards, with outer values', () => {
    fc.assert(
      fc.property(arrayOf([4, 3]), arrayOf([3]), fc.boolean(), (xs, decay, reverse) => {
        const [last, kept] = runAll(
          (x, d) => {
            const { carry, ys } = ops.scan(
              (c: { h: Tensor }, [v]: Tensor[]) => {
                const h = c.h.mul(d.mul(0.5)).add(v as Tensor);
                return [{ h }, h.mul(2)];
              },
              { init: { h: ops.zeros([3]) }, xs: [x], reverse },
            );
            return [carry.h, ys];
          },
          xs,
          decay,
        );
        let h = [0, 0, 0];
        const steps: number[][] = [[], [], [], []];
        const d = decay.toNumbers();
        for (const t of reverse ? [3, 2, 1, 0] : [0, 1, 2, 3]) {
          h = h.map((v, i) => v * (d[i] as number) * 0.5 + (xs.toNumbers()[t * 3 + i] as number));
          steps[t] = h.map((v) => 2 * v);
        }
        expect(last?.data).toEqual(h);
        expect(kept).toEqual({ shape: [4, 3], data: steps.flat() });
      }),
      { numRuns: 30 },
    );
  });

  it('computes loop invariants once, outside of the body', () => {
    const [w, xs] = [arg([3, 3]), arg([sym('T'), 3])];
    const { carry } = ops.scan((c: Tensor, x: Tensor) => [c.add(x.matmul(w.transpose().exp())), null], { init: ops.zeros([3]), xs });
    const node = carry.node;
    if (!isOp(node, 'scan')) throw new Error('no scan');
    expect(node.attrs.numConsts).toBe(1);
    expect(node.inputs[0]?.node.op).toBe('exp');
    expect(topoSort(node.attrs.body.outputs).map((n) => n.op)).not.toContain('exp');
  });

  it('nests, and takes a value of the outer body', () => {
    const xs = array([
      [1, 2],
      [3, 4],
    ]);
    const got = run(
      (x) =>
        ops.scan(
          (c: Tensor, row: Tensor) => {
            const inner = ops.scan((s: Tensor, v: Tensor) => [s.add(v.mul(c)), null], { init: ops.scalar(0), xs: row });
            return [inner.carry, inner.carry];
          },
          { init: ops.scalar(1), xs: x },
        ).ys,
      xs,
    );
    // c: 1 -> 1*1 + 2*1 = 3 -> 3*3 + 4*3 = 21
    expect(got.data).toEqual([3, 21]);
  });

  it('passes structure through and keeps nothing where the body returns nothing', () => {
    const { carry, ys } = ops.scan((c: { a: Tensor; b: Tensor[] }, x: Tensor) => [{ a: c.b[0] as Tensor, b: [c.a.add(x)] }, null], {
      init: { a: ops.scalar(1), b: [ops.scalar(2)] },
      xs: ops.arange(3).cast('f32'),
    });
    expect(ys).toBeNull();
    // (1, 2) -> (2, 1+0) -> (1, 2+1) -> (3, 1+2)
    expect(run(() => ops.stack([carry.a, carry.b[0] as Tensor])).data).toEqual([3, 3]);
  });
});

describe('checkpoint', () => {
  it('gives the same values and lifts outer tensors', () => {
    const layer = (w: Tensor) => (p: { x: Tensor; scale: number }) => ({ y: p.x.matmul(w).mul(p.scale), name: 'layer' });
    const [x, w] = [
      array([[1, 2]]),
      array([
        [1, 2],
        [3, 4],
      ]),
    ];
    const plain = run((a, b) => layer(b)({ x: a, scale: 3 }).y, x, w);
    expect(run((a, b) => ops.checkpoint(layer(b))({ x: a, scale: 3 }).y, x, w)).toEqual(plain);
    const result = ops.checkpoint(layer(arg([2, 2])), { label: 'block' })({ x: arg([1, 2]), scale: 3 });
    expect(result.name).toBe('layer');
    const node = result.y.node;
    if (!isOp(node, 'call')) throw new Error('no call');
    expect(node.attrs.label).toBe('block');
    expect(node.inputs.length).toBe(2);
    expect(nodesOf(node.attrs.body.outputs[0] as Tensor, 'input').length).toBe(2);
  });

  it('keeps what the body computes from outer values inside of it', () => {
    const key = arg([2], 'u32');
    const y = ops.checkpoint((x: Tensor) => x.mul(ops.cast(ops.eq(key, 0), 'f32').sum().exp()))(arg([4]));
    expect(y.node.inputs.map((t) => t.dtype)).toEqual(['f32', 'u32']);
    expect(nodesOf(y, 'exp')).toEqual([]);
  });

  it('nests, and passes outer tensors and arguments straight through', () => {
    const outer = array([10, 20]);
    const [a, b, c] = runAll(
      (x, o) => {
        const inner = ops.checkpoint((t: Tensor) => t.mul(x).add(o));
        const [r, s, t] = ops.checkpoint((v: Tensor) => [inner(v), o, v] as const)(x);
        return [r, s, t];
      },
      array([1, 2]),
      outer,
    );
    expect([a?.data, b?.data, c?.data]).toEqual([
      [11, 24],
      [10, 20],
      [1, 2],
    ]);
  });

  it('is nothing where no tensor goes in', () => {
    expect(ops.checkpoint(() => ops.scalar(1))().node.op).toBe('constant');
  });
});

describe('customVjp', () => {
  it('has the value of its forward', () => {
    const clamp = ops.customVjp(
      (x) => ({ out: [x.clip(-1, 1), x.sign()] as const, saved: [x] }),
      ([g]) => [g as Tensor],
    );
    const [value, sign] = runAll((x) => clamp(x), array([-3, 0.5]));
    expect([value?.data, sign?.data]).toEqual([
      [-1, 0.5],
      [-1, 1],
    ]);
  });

  it('checks the gradients that its backward returns', () => {
    const f = ops.customVjp(
      (x) => ({ out: x }),
      ([g]) => [(g as Tensor).sum(), null],
    );
    const node = f(arg([2])).node;
    if (!isOp(node, 'customVjp')) throw new Error('no customVjp');
    const { backward } = node.attrs;
    expect(() => backward([arg([2])], [])).toThrow(/returned 2 gradients for 1 arguments/);
    const g = ops.customVjp(
      (x) => ({ out: x }),
      ([c]) => [(c as Tensor).sum()],
    );
    const other = g(arg([2])).node;
    if (!isOp(other, 'customVjp')) throw new Error('no customVjp');
    expect(() => other.attrs.backward([arg([2])], [])).toThrow(/gradient 0 is \[\], but the argument is \[2\]/);
  });
});
