import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { planSteps } from '../../../src/tensor/compile/plan.js';
import { Graph, type Tensor } from '../../../src/tensor/graph.js';
import { compile, grad, liveSessions } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arg } from '../ops/support.js';
import { relativeError } from './support.js';

const filled = (shape: number[], seed = 1): NDArray =>
  array(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + 1.3 * i)),
    { shape },
  );
const leaves = (r: unknown): NDArray[] => (Array.isArray(r) ? r.flatMap(leaves) : [r as NDArray]);

/** Runs a function on both executors, blocking and not, and compares it with a function that means the same. */
async function same<Args extends unknown[]>(
  f: (...args: Args) => unknown,
  plain: (...args: Args) => unknown,
  ...args: NDArray[]
): Promise<void> {
  const wanted = compile(plain, { backend: 'reference' }).runSync(...(args as never));
  for (const backend of ['ort', 'reference'] as const) {
    const g = compile(f, { backend });
    for (let i = 0; i < 2; i++) {
      expect(relativeError(leaves(await g.run(...(args as never))), leaves(wanted))).toBeLessThan(2e-5);
      expect(relativeError(leaves(g.runSync(...(args as never))), leaves(wanted))).toBeLessThan(2e-5);
    }
    g.dispose();
  }
}

interface Layer {
  readonly w: Tensor;
  readonly b: Tensor;
}
const layer = (p: Layer, x: Tensor): Tensor => x.add(x.matmul(p.w).add(p.b).tanh());
type Wrap = <A extends unknown[], R>(f: (...args: A) => R) => (...args: A) => R;
const direct: Wrap = (f) => f;
const checkpointed: Wrap = (f) => ops.checkpoint(f);

/** Loss and gradients of a stack of layers, each wrapped; the arguments are the input and then weight and bias of each layer. */
const deep =
  (wrap: Wrap) =>
  (x: Tensor, ...params: Tensor[]): Tensor[] => {
    const block = wrap(layer);
    let h = x;
    for (let i = 0; i < params.length; i += 2) h = block({ w: params[i] as Tensor, b: params[i + 1] as Tensor }, h);
    const loss = h.square().mean();
    return [loss, h, ...grad(loss, [x, ...params])];
  };
const deepArguments = (depth: number): NDArray[] => [
  filled([2, 3]),
  ...Array.from({ length: depth }, (_, i) => [filled([3, 3], i), filled([3], -i)]).flat(),
];

describe('checkpointed layers', () => {
  it('give the results and gradients of plain ones', async () => {
    await same(deep(checkpointed), deep(direct), ...deepArguments(4));
  });

  it('share their sessions: two for any depth, and what is between', () => {
    const before = liveSessions();
    const counts = [3, 9].map((depth) => {
      const f = compile(deep(checkpointed));
      f.runSync(...(deepArguments(depth) as [NDArray]));
      const sessions = liveSessions() - before;
      f.dispose();
      return sessions;
    });
    expect(counts[0]).toBe(counts[1]);
    expect(liveSessions()).toBe(before);
  });

  it('keep nothing of a layer but its arguments for the backward pass', () => {
    const inputs = deepArguments(3).map((a) => arg(a.shape));
    const plan = planSteps(new Graph(inputs, deep(checkpointed)(...(inputs as [Tensor]))));
    const forward = plan.steps.filter((s) => s.label === 'layer');
    const backward = plan.steps.filter((s) => s.label === 'layer.grad');
    expect([forward.length, backward.length]).toEqual([3, 3]);
    for (const s of forward) expect(s.outputs.length).toBe(1);
    // every value is made by one step, before the steps that read it
    const made = new Set(inputs.map((_, i) => i));
    for (const s of plan.steps) {
      for (const v of s.inputs) expect(made.has(v)).toBe(true);
      for (const v of s.outputs) {
        expect(made.has(v)).toBe(false);
        made.add(v);
      }
    }
    for (const v of plan.outputs) expect(made.has(v)).toBe(true);
  });

  it('nest, capture, branch, pass arguments through and return constants', async () => {
    const f =
      (wrap: Wrap) =>
      (w: Tensor, x: Tensor): unknown[] => {
        const inner = wrap((t: Tensor) => t.matmul(w).sin());
        const outer = wrap((t: Tensor) => [inner(inner(t)), t, ops.ones([2]), w.sum()] as const);
        const [y, t, c, s] = outer(x);
        const other = wrap((u: Tensor, v: Tensor) => u.mul(v))(y, t);
        const loss = y.add(other).mul(c.sum()).mul(s).sum();
        return [y, t, c, loss, grad(loss, w), grad(loss, x)];
      };
    await same(f(checkpointed), f(direct), filled([3, 3]), filled([2, 3], 4));
  });

  it('stand in a scan and around one', async () => {
    const f =
      (wrap: Wrap) =>
      (w: Tensor, xs: Tensor): unknown[] => {
        const step = wrap((h: Tensor, x: Tensor) => h.mul(w).add(x).tanh());
        const run = wrap((v: Tensor) => ops.scan((h: Tensor, x: Tensor) => [step(h, x), h], { init: ops.zeros([2]), xs: v }));
        const { carry, ys } = run(xs);
        const loss = carry.sum().add(ys.square().sum());
        return [carry, ys, grad(loss, w), grad(loss, xs)];
      };
    await same(f(checkpointed), f(direct), filled([2]), filled([4, 2]));
  });

  it('may return nothing but their arguments, or be the whole program', async () => {
    const whole = (wrap: Wrap, label?: string) => (x: Tensor, y: Tensor) =>
      (label ? ops.checkpoint((a: Tensor, b: Tensor) => a.sub(b), { label }) : wrap((a: Tensor, b: Tensor) => a.sub(b)))(y, x);
    await same(whole(checkpointed), whole(direct), filled([2]), filled([2], 5));
    // a label is a name only
    await same(whole(checkpointed, 'main'), whole(direct), filled([2]), filled([2], 5));
    await same(
      (x: Tensor) =>
        ops
          .checkpoint((t: Tensor) => t)(x)
          .mul(2),
      (x: Tensor) => x.mul(2),
      filled([3]),
    );
    await same(
      (x: Tensor) => [ops.checkpoint((t: Tensor) => t.mul(2))(x), x, ops.scalar(3)],
      (x: Tensor) => [x.mul(2), x, ops.scalar(3)],
      filled([3]),
    );
  });

  it('have gradients of gradients', async () => {
    const hvp = (wrap: Wrap) => (w: Tensor, x: Tensor) => {
      const f = wrap((t: Tensor) => t.matmul(w).tanh());
      const g = grad(f(f(x)).square().sum(), w);
      return grad(g.square().sum(), [w, x]);
    };
    await same(hvp(checkpointed), hvp(direct), filled([3, 3]), filled([2, 3], 4));
  });
});

describe('an optimizer as one call for each parameter', () => {
  const shapes = [[3, 3], [3, 3], [3]];
  const train = (wrap: Wrap) => {
    const update = wrap((p: Tensor, m: Tensor, g: Tensor, scale: Tensor) => {
      const next = m.mul(0.9).add(g.mul(scale));
      return [p.sub(next.mul(0.1)), next] as const;
    });
    return (s: { params: Tensor[]; moments: Tensor[] }, x: Tensor) => {
      const [a, b, c] = s.params as [Tensor, Tensor, Tensor];
      const loss = x.matmul(a).tanh().matmul(b).add(c).square().mean();
      const grads = grad(loss, s.params);
      const norm = grads
        .map((g) => g.square().sum())
        .reduce((p, q) => p.add(q))
        .sqrt();
      const scale = ops.minimum(1, norm.recip());
      const updated = s.params.map((p, i) => update(p, s.moments[i] as Tensor, grads[i] as Tensor, scale));
      return [{ params: updated.map((u) => u[0]), moments: updated.map((u) => u[1]) }, loss] as const;
    };
  };

  it('updates parameters and moments in place', async () => {
    const state = () => ({ params: shapes.map((s, i) => filled(s, i)), moments: shapes.map((s) => filled(s, 9)) });
    const [f, plain] = [compile(train(checkpointed), { donate: [0] }), compile(train(direct), { backend: 'reference' })];
    expect(f.inPlaceOutputs(state(), filled([4, 3]))).toEqual([0, 1, 2, 3, 4, 5]);
    let [a, b] = [state(), state()];
    const memory = a.params.map((p) => p.data);
    for (let i = 0; i < 6; i++) {
      const x = filled([4, 3], i);
      const [nextA, lossA] = i % 2 ? f.runSync(a, x) : await f.run(a, x);
      const [nextB, lossB] = plain.runSync(b, x);
      expect(relativeError([lossA, ...nextA.params, ...nextA.moments], [lossB, ...nextB.params, ...nextB.moments])).toBeLessThan(2e-5);
      [a, b] = [nextA, nextB];
    }
    expect(a.params.map((p) => p.data)).toEqual(memory);
    expect(a.params.every((p, i) => p.data === memory[i])).toBe(true);
    f.dispose();
  });

  it('does not overwrite what a later step still reads', () => {
    const step = (s: Tensor, x: Tensor) => {
      const next = ops.checkpoint((p: Tensor, u: Tensor) => p.add(u))(s, x);
      const late = ops.checkpoint((p: Tensor, u: Tensor) => p.matmul(u))(s, ops.checkpoint((t: Tensor) => t.sin())(next));
      return [next, late];
    };
    const f = compile(step, { donate: [0] });
    expect(f.inPlaceOutputs(filled([2, 2]), filled([2, 2]))).toEqual([]);
    const [next, late] = f.runSync(filled([2, 2]), filled([2, 2], 3)) as [NDArray, NDArray];
    const wanted = compile(step, { backend: 'reference' }).runSync(filled([2, 2]), filled([2, 2], 3));
    expect(relativeError([next, late], wanted)).toBeLessThan(1e-6);
    f.dispose();
  });
});

describe('shards side by side', () => {
  it('give the mean over the parts, and their readers keep the parameters as they are', async () => {
    const step = (shards: number) => (w: Tensor, x: Tensor) => {
      const { loss, g } = ops.shardedMean(
        (part: Tensor) => {
          const value = part.matmul(w).tanh().square().mean();
          return { loss: value, g: grad(value, w) };
        },
        x,
        { shards },
      );
      return [w.sub(g.mul(0.1)), loss];
    };
    await same(step(2), step(1), filled([3, 3]), filled([4, 3]));
    const f = compile(step(2), { donate: [0] });
    const plain = compile(step(1), { backend: 'reference' });
    let [a, b] = [filled([3, 3]), filled([3, 3])];
    for (let i = 0; i < 5; i++) {
      const [nextA, lossA] = (await f.run(a, filled([4, 3], i))) as [NDArray, NDArray];
      const [nextB, lossB] = plain.runSync(b, filled([4, 3], i)) as [NDArray, NDArray];
      expect(relativeError([nextA, lossA], [nextB, lossB])).toBeLessThan(2e-5);
      [a, b] = [nextA, nextB];
    }
    f.dispose();
  });
});
