import { describe, expect, it } from 'vitest';
import type { Settings } from '../../src/contracts/index.js';
import { type Leaves, type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { foldIn, type NDArray, randomKey, splitKey, type Tensor, zerosArray } from '../../src/tensor/index.js';
import { keyWords, threefryBits } from '../../src/tensor/random/threefry.js';
import { noise, quadraticLoss, randomArray, runTransform, spec } from './support.js';

// 35 elements: more than the 32 that a word of random bits serves
const specs = { w: spec('matrix', [7, 5]), g: spec('vector', [5]) };
const paths = ['w', 'g'] as const;
type Point = Record<'w' | 'g', number[]>;
const next = noise(50);
const start = { w: randomArray([7, 5], next), g: randomArray([5], next) };
const at = (): Point => ({ w: start.w.toNumbers(), g: start.g.toNumbers() });
const key = foldIn(randomKey(7), 0);

/** A direction on the host, from the words of the keys: direction i of n, then the key of the one group, whose elements follow each other. */
function direction(kind: 'normal' | 'rademacher', i: number, n: number, moved: readonly ('w' | 'g')[] = paths): Point {
  const own = splitKey(splitKey(key, n)[i] as NDArray, 1)[0] as NDArray;
  const out: Point = { w: at().w.map(() => 0), g: at().g.map(() => 0) };
  const size = moved.reduce((total, path) => total + out[path].length, 0);
  const bits = threefryBits(keyWords(own), 2 * size);
  let e = 0;
  for (const path of moved)
    out[path] = out[path].map(() => {
      const [sign, first, second] = [bits[e >>> 5] as number, bits[e] as number, bits[size + e] as number];
      const place = e++ & 31;
      if (kind === 'rademacher') return (sign >>> place) & 1 ? 1 : -1;
      return Math.sqrt(-2 * Math.log(((first >>> 9) + 0.5) * 2 ** -23)) * Math.cos((second >>> 8) * 2 * Math.PI * 2 ** -24);
    });
  return out;
}

/** Not symmetric around any point, so that one- and two-sided differences differ. */
const curved = (p: Leaves<Tensor>): Tensor =>
  Object.values(p)
    .map((x, i) =>
      x
        .mul(x)
        .mul(x)
        .add(x.mul(x).mul(i + 1))
        .sum(),
    )
    .reduce((a, b) => a.add(b));
const curvedAt = (p: Point): number => paths.reduce((n, path, i) => n + p[path].reduce((s, x) => s + x ** 3 + (i + 1) * x * x, 0), 0);
const shifted = (p: Point, z: Point, by: number): Point => ({
  w: p.w.map((x, i) => x + by * (z.w[i] as number)),
  g: p.g.map((x, i) => x + by * (z.g[i] as number)),
});
const sum = (terms: readonly Point[]): Point => ({
  w: at().w.map((_, i) => terms.reduce((n, t) => n + (t.w[i] as number), 0)),
  g: at().g.map((_, i) => terms.reduce((n, t) => n + (t.g[i] as number), 0)),
});
const scaled = (z: Point, c: number): Point => ({ w: z.w.map((x) => x * c), g: z.g.map((x) => x * c) });

const run = (id: string, settings: Settings, rates: Readonly<Record<string, number>>, options = {}, grads: Leaves<NDArray> = {}) => {
  const method = optimizers[id] as OptimizerMethod;
  return runTransform(method.create({ ...method.defaults, ...settings }), specs, start, [grads], [rates], options);
};
const expectClose = (updates: Leaves<number[]> | undefined, expected: Point, digits = 5): void => {
  for (const path of paths)
    updates?.[path]?.forEach((x, i) => {
      expect(x).toBeCloseTo(expected[path][i] as number, digits);
    });
};

describe('random directions', () => {
  it('are drawn together for small parameters and apart for large ones, and differ from each other', async () => {
    const large = { a: spec('matrix', [1000, 530]), b: spec('vector', [4]), c: spec('matrix', [1000, 530]), d: spec('vector', [4]) };
    const zeros = Object.fromEntries(Object.entries(large).map(([k, s]) => [k, zerosArray(s.shape)]));
    const method = optimizers.mezo as OptimizerMethod;
    // L = sum of all elements: the update is a multiple of the direction itself
    const loss = (p: Leaves<Tensor>): Tensor =>
      Object.values(p)
        .map((x) => x.sum())
        .reduce((x, y) => x.add(y));
    const { updates } = await runTransform(method.create({ ...method.defaults, zo_eps: 1 }), large, zeros, [{}], [{ learning_rate: 1 }], {
      loss,
      backend: 'ort',
    });
    const u = updates[0] as Leaves<number[]>;
    expect(u.b).not.toEqual(u.d);
    expect(u.a?.slice(0, 8)).not.toEqual(u.c?.slice(0, 8));
    const mean = (x: readonly number[]): number => x.reduce((p, q) => p + q, 0) / x.length;
    const size = Math.sqrt(mean((u.a ?? []).map((x) => x * x)));
    // 530000 independent normal values: the mean of a standard one is within 0.007 of zero, five of its standard errors
    for (const k of ['a', 'c']) expect(Math.abs(mean(u[k] ?? [])) / size).toBeLessThan(0.007);
    expect(Math.abs(mean((u.a ?? []).map((x, i) => x * (u.c?.[i] as number)))) / size ** 2).toBeLessThan(0.007);
  });
});

describe('mezo', () => {
  it.each([1, 3])('equals the published update with %i directions, with directions drawn on the host', async (n) => {
    const eps = 0.1;
    const { updates } = await run(
      'mezo',
      { zo_eps: eps, num_perturbations: n, weight_decay: 0.5 },
      { learning_rate: 0.01 },
      { loss: curved },
    );
    const terms = Array.from({ length: n }, (_, i) => {
      const z = direction('normal', i, n);
      return scaled(z, (curvedAt(shifted(at(), z, eps)) - curvedAt(shifted(at(), z, -eps))) / (2 * eps * n));
    });
    const expected = scaled(sum([...terms, { w: at().w.map((x) => 0.5 * x), g: at().g.map(() => 0) }]), -0.01);
    expectClose(updates[0], expected);
  });

  it('points along the gradient when many directions are averaged', async () => {
    const { updates } = await run('mezo', { num_perturbations: 24 }, { learning_rate: 1 });
    const gradient = paths.flatMap((path, i) => at()[path].map((x) => x - 0.1 * (i + 1)));
    const update = paths.flatMap((path) => updates[0]?.[path] ?? []);
    const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((n, x, i) => n + x * (b[i] as number), 0);
    // 40 coordinates, 24 directions: the cosine is about 1 / sqrt(1 + 40 / 24) = 0.61
    expect(-dot(gradient, update) / Math.sqrt(dot(gradient, gradient) * dot(update, update))).toBeGreaterThan(0.4);
  });

  it('says what is wrong with its settings', () => {
    expect(() => run('mezo', { num_perturbations: 0 }, {})).toThrow(/num_perturbations/);
    expect(() => run('mezo', { zo_eps: 0 }, {})).toThrow(/zo_eps/);
  });
});

describe('fzoo', () => {
  it('equals the published update, with signs drawn on the host', async () => {
    const [n, eps] = [4, 0.05];
    const { updates } = await run('fzoo', { zo_eps: eps, num_perturbations: n }, { learning_rate: 0.1 }, { loss: curved });
    const signs = Array.from({ length: n }, (_, i) => direction('rademacher', i, n));
    const losses = signs.map((u) => curvedAt(shifted(at(), u, eps)));
    const mean = losses.reduce((a, b) => a + b, 0) / n;
    const spread = Math.sqrt(losses.reduce((a, l) => a + (l - mean) ** 2, 0) / n);
    const here = curvedAt(at());
    expectClose(updates[0], scaled(sum(signs.map((u, i) => scaled(u, ((losses[i] as number) - here) / (n * spread)))), -0.1));
  });

  it('does not see the scale of the loss', async () => {
    const small = await run('fzoo', {}, { learning_rate: 0.1 });
    const large = await run('fzoo', {}, { learning_rate: 0.1 }, { loss: (p: Leaves<Tensor>) => quadraticLoss(p).mul(1000) });
    expectClose(large.updates[0], small.updates[0] as Point, 4);
    expect(Math.max(...(small.updates[0]?.w ?? []).map(Math.abs))).toBeGreaterThan(1e-3);
  });

  it('stays where the loss is flat, and needs two directions', async () => {
    const flat = await run('fzoo', {}, { learning_rate: 1 }, { loss: (p: Leaves<Tensor>) => (p.w as Tensor).sum().mul(0) });
    expect([...(flat.updates[0]?.w ?? []), ...(flat.updates[0]?.g ?? [])].every((x) => Math.abs(x) === 0)).toBe(true);
    expect(() => run('fzoo', { num_perturbations: 1 }, {})).toThrow(/at least 2/);
  });
});

describe('zo-fo', () => {
  const method = optimizers['zo-fo'] as OptimizerMethod;

  it('moves the base by the one-sided estimate and the rest by its gradient', async () => {
    const eps = 0.1;
    const gradient = randomArray([5], noise(3));
    const { updates } = await run(
      'zo-fo',
      { zo_eps: eps, first_order: 'vector' },
      { learning_rate: 0.01, first_order_learning_rate: 0.3 },
      { loss: curved },
      { g: gradient },
    );
    const z = direction('normal', 0, 1, ['w']);
    const slope = (curvedAt(shifted(at(), z, eps)) - curvedAt(at())) / eps;
    expectClose(updates[0], { w: z.w.map((x) => -0.01 * slope * x), g: gradient.toNumbers().map((x) => -0.3 * x) });
  });

  it.each([
    ['vector', [false, true, false]],
    ['embedding, vector', [true, true, false]],
    ['layers.*.q_proj', [false, false, true]],
    ['layers.1.*', [false, false, false]],
    ['*norm', [false, true, false]],
    ['none', [false, false, false]],
  ] as const)('takes the gradients of %s', (first_order, expected) => {
    const all = [
      ['embed_tokens', spec('embedding', [3, 2])],
      ['layers.0.norm', spec('vector', [2])],
      ['layers.0.q_proj', spec('matrix', [2, 2])],
    ] as const;
    expect(all.map(([path, s]) => method.needsGradient?.(s, path, { ...method.defaults, first_order }))).toEqual(expected);
  });

  it('is plain gradient descent where everything follows its gradient', async () => {
    const grads = { w: randomArray([7, 5], noise(1)), g: randomArray([5], noise(2)) };
    const { updates } = await run('zo-fo', { first_order: '*' }, { learning_rate: 1, first_order_learning_rate: 0.5 }, {}, grads);
    expectClose(updates[0], scaled({ w: grads.w.toNumbers(), g: grads.g.toNumbers() }, -0.5));
  });

  it('refuses a kind of difference that it does not know', () => {
    expect(() => method.create({ ...method.defaults, perturbation: 'backward' })).toThrow(/forward or central/);
  });
});
