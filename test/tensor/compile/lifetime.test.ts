import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile, DisposedError, liveSessions, spec } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';

const vector = (...xs: number[]): NDArray => array(Float32Array.from(xs));

describe('sessions', () => {
  it('are shared by equal graphs, whatever function made them', () => {
    const before = liveSessions();
    const make = () => compile((x: Tensor) => x.mul(3).add(1).tanh());
    const [f, g] = [make(), make()];
    f.runSync(vector(1));
    g.runSync(vector(1));
    expect(liveSessions()).toBe(before + 1);
    // another constant, shape, dtype, thread count or option is another session
    const h = compile((x: Tensor) => x.mul(4).add(1).tanh());
    h.runSync(vector(1));
    f.runSync(vector(1, 2));
    const single = compile((x: Tensor) => x.mul(3).add(1).tanh(), { threads: 1 });
    single.runSync(vector(1));
    expect(liveSessions()).toBe(before + 4);
    f.dispose();
    expect(liveSessions()).toBe(before + 3);
    expect(g.runSync(vector(0)).item()).toBeCloseTo(Math.tanh(1), 6);
    for (const c of [g, h, single]) c.dispose();
    expect(liveSessions()).toBe(before);
  });

  it('tell large constants apart by identity and small ones by content', () => {
    const before = liveSessions();
    const table = (fill: number, n: number): NDArray => array(new Float32Array(n).fill(fill));
    const make = (t: NDArray) => compile((x: Tensor) => x.add(ops.constant(t).sum()));
    const fs = [make(table(1, 3)), make(table(1, 3)), make(table(2, 3)), make(table(1, 5000)), make(table(2, 5000))];
    expect(fs.map((f) => f.runSync(0).item())).toEqual([3, 3, 6, 5000, 10000]);
    for (const f of fs) f.dispose();
    expect(liveSessions()).toBe(before);
  });

  it('see that a constant array was changed between two compilations', () => {
    const t = vector(1, 2);
    const make = () => compile((x: Tensor) => x.add(t));
    const f = make();
    expect(f.runSync(vector(0, 0)).toNumbers()).toEqual([1, 2]);
    (t.data as Float32Array)[0] = 10;
    const g = make();
    expect(g.runSync(vector(0, 0)).toNumbers()).toEqual([10, 2]);
    f.dispose();
    g.dispose();
  });

  it('are refused after dispose, which may be repeated', async () => {
    const f = compile((x: Tensor) => x.add(1), { name: 'inc' });
    f.runSync(vector(1));
    f.dispose();
    f.dispose();
    expect(() => f.runSync(vector(1))).toThrow(DisposedError);
    expect(() => f.runSync(vector(1))).toThrow('inc was used after dispose');
    await expect(f.run(vector(1))).rejects.toThrow('inc was used after dispose');
    await expect(f.warmup(vector(1))).rejects.toThrow('inc was used after dispose');
    expect(() => f.print(vector(1))).toThrow('inc was used after dispose');
    expect(() => f.toOnnx(vector(1))).toThrow('inc was used after dispose');
  });

  it('finish a run that was under way at dispose, or say that they cannot', async () => {
    const f = compile((x: Tensor) => {
      const block = ops.checkpoint((t: Tensor) => t.matmul(t).mul(1e-3).tanh());
      return block(block(block(x)));
    });
    const x = array(new Float32Array(200 * 200).fill(0.1), { shape: [200, 200] });
    const wanted = f.runSync(x).toNumbers()[0];
    const pending = f.run(x).then(
      (y) => y.toNumbers()[0],
      (e) => e,
    );
    f.dispose();
    const result = await pending;
    expect(result === wanted || result instanceof DisposedError).toBe(true);
  });

  it('of several functions read the same weights without copies', async () => {
    const w = vector(1, 2, 3);
    const [sum, scaled] = [compile((p: { w: Tensor }) => p.w.sum()), compile((p: { w: Tensor }, x: Tensor) => p.w.mul(x))];
    expect(sum.runSync({ w }).item()).toBe(6);
    (w.data as Float32Array)[0] = 10;
    expect(sum.runSync({ w }).item()).toBe(15);
    const [a, b] = await Promise.all([sum.run({ w }), scaled.run({ w }, 2)]);
    expect([a.item(), b.toNumbers()]).toEqual([15, [20, 4, 6]]);
    sum.dispose();
    scaled.dispose();
  });

  it('of a function that could not be built leave nothing behind', () => {
    const before = liveSessions();
    const f = compile(
      (x: Tensor) => {
        const y = ops.checkpoint((t: Tensor) => t.sin())(x);
        return y.add(ops.constant(array(new Float32Array(1)))).matmul(y.reshape([-(-1), 2] as never).transpose());
      },
      { args: [spec('f32', [2])] },
    );
    try {
      f.runSync(vector(1, 2));
    } catch {
      // whatever it says
    }
    f.dispose();
    expect(liveSessions()).toBe(before);
  });
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Resident megabytes after garbage collection and the finalizers that follow it. */
async function resident(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

/** A function of its own graph, with weights compiled in. */
const distinctFunction = (seed: number) => {
  const table = array(new Float32Array(20_000).fill(seed), { shape: [100, 200] });
  return compile((x: Tensor) =>
    x
      .matmul(ops.constant(table))
      .mul(seed + 1)
      .tanh()
      .sum(),
  );
};
const row = array(new Float32Array(100), { shape: [1, 100] });

describe('memory does not grow', () => {
  /**
   * Smallest growth in MB of resident memory over one of three rounds of the task, after a round to warm up: a leak grows in every round, a heap
   * that finds its size does not.
   */
  async function growth(times: number, task: (i: number) => void | Promise<void>): Promise<number> {
    let smallest = Number.POSITIVE_INFINITY;
    let before = 0;
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < times; i++) await task(round * times + i);
      const now = await resident();
      if (round > 0) smallest = Math.min(smallest, now - before);
      before = now;
    }
    return smallest;
  }

  it('over cycles of compile and dispose', async () => {
    const grown = await growth(100, (i) => {
      const f = distinctFunction(i);
      f.runSync(row);
      f.dispose();
    });
    // the weights alone of 100 sessions are 8 MB
    expect(grown).toBeLessThan(4);
  });

  it('over compiled functions that are forgotten', async () => {
    const before = liveSessions();
    const grown = await growth(100, async (i) => {
      distinctFunction(i).runSync(row);
      if (i % 50 === 0) await resident();
    });
    await resident();
    expect(grown).toBeLessThan(4);
    expect(liveSessions() - before).toBeLessThan(60);
  });

  it('over runs, blocking or not, in place and double-buffered', async () => {
    const step = compile(
      (s: { a: Tensor; b: Tensor }, x: Tensor) => [{ a: s.a.mul(0.9).add(x), b: s.b.matmul(s.b).mul(0.01) }, s.a.sum()] as const,
      { donate: [0] },
    );
    const square = (): NDArray => array(new Float32Array(10_000).fill(0.1), { shape: [100, 100] });
    let state = { a: square(), b: square() };
    const grown = await growth(600, async (i) => {
      const [next] = i % 2 ? step.runSync(state, i) : await step.run(state, i);
      state = next;
    });
    expect(grown).toBeLessThan(4);
    step.dispose();
  });

  it('over runs of checkpointed functions of ever new batch sizes', async () => {
    const f = compile(
      (x: Tensor) => {
        const block = ops.checkpoint((t: Tensor) => t.tanh().mul(2));
        return block(block(block(x))).sum();
      },
      { args: [spec('f32', ['B', 300])] },
    );
    const grown = await growth(100, (i) => {
      const size = 400 - i;
      f.runSync(array(new Float32Array(size * 300), { shape: [size, 300] }));
    });
    // kept for every size, the two intermediate values would be 12 MB and more a round
    expect(grown).toBeLessThan(4);
    f.dispose();
  });
});
