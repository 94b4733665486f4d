import { describe, expect, it } from 'vitest';
import { cautious, type GradientTransform, mapLeaves, type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { array } from '../../src/tensor/index.js';
import { noise, randomArray, runTransform, spec } from './support.js';

const specs = { w: spec('matrix', [3, 4]), g: spec('vector', [5]) };
const draw = (next: () => number) => ({ w: randomArray([3, 4], next), g: randomArray([5], next) });

/** The masked step of one tensor, written out: a factor for every coordinate. */
const factors = (u: readonly number[], g: readonly number[], kind: 'mean' | 'count'): number[] => {
  const kept = u.filter((x, i) => x * (g[i] as number) > 0).length;
  const scale = kind === 'mean' ? 1 / Math.max(kept / u.length, 1e-3) : u.length / (kept + 1);
  return u.map((x, i) => (x * (g[i] as number) > 0 ? scale : 0));
};

describe('cautious', () => {
  const halves: GradientTransform = {
    init: () => ({}),
    update: (grads, state) => ({ updates: mapLeaves(grads, (g) => g.mul(g).mul(0.5)), state }),
  };
  it.each([
    ['mean', [4, 0, 1, 0]],
    ['count', [16 / 6, 0, 2 / 3, 0]],
  ] as const)('drops what points against the gradient and scales up the rest by %s', async (mask_scaling, expected) => {
    const run = (g: number[]) =>
      runTransform(cautious(halves, { mask_scaling }), { g: spec('vector', [4]) }, { g: array([0, 0, 0, 0]) }, [{ g: array(g) }], [{}]);
    // u = g^2 / 2 is never negative: only positive gradients agree with it
    (await run([2, -3, 1, 0])).updates[0]?.g?.forEach((x, i) => {
      expect(x).toBeCloseTo(expected[i] as number, 6);
    });
    // where nothing agrees, nothing moves and nothing is divided by zero
    expect((await run([-1, -1, -1, -1])).updates[0]?.g?.every((x) => x === 0)).toBe(true);
  });
  it('names the scalings it knows', () => {
    expect(() => cautious(halves, { mask_scaling: 'sum' })).toThrow(/mean, count/);
  });
});

describe.each(['mean', 'count'] as const)('cautious methods scaled by %s', (mask_scaling) => {
  const next = noise(8);
  const start = draw(next);
  const grads = Array.from({ length: 6 }, () => draw(next));
  const lrs = grads.map((_, i) => 0.02 * (1 + i));
  const run = (id: string, settings: Readonly<Record<string, number>>) =>
    runTransform(
      (optimizers[id] as OptimizerMethod).create({ ...optimizers[id]?.defaults, ...settings, mask_scaling }),
      specs,
      start,
      grads,
      lrs.map((learning_rate) => ({ learning_rate })),
    );

  it('equal scalar loops over Adam and Lion; the decay is not masked', async () => {
    const adam = await run('cautious-adamw', { adam_beta1: 0.8, adam_beta2: 0.9, adam_epsilon: 0.01, weight_decay: 0.3 });
    const lion = await run('cautious-lion', { lion_beta1: 0.7, lion_beta2: 0.9, weight_decay: 0.3 });
    for (const k of ['w', 'g'] as const) {
      const decay = k === 'w' ? 0.3 : 0;
      const [p, q] = [start[k].toNumbers(), start[k].toNumbers()];
      const [m, v, l] = [p.map(() => 0), p.map(() => 0), p.map(() => 0)];
      grads.forEach((grad, t) => {
        const g = grad[k].toNumbers();
        const lr = lrs[t] as number;
        const u = g.map((x, i) => {
          m[i] = 0.8 * (m[i] as number) + 0.2 * x;
          v[i] = 0.9 * (v[i] as number) + 0.1 * x * x;
          return (m[i] as number) / (1 - 0.8 ** (t + 1)) / (Math.sqrt((v[i] as number) / (1 - 0.9 ** (t + 1))) + 0.01);
        });
        factors(u, g, mask_scaling).forEach((f, i) => {
          p[i] = (p[i] as number) - lr * ((u[i] as number) * f + decay * (p[i] as number));
        });
        const s = g.map((x, i) => Math.sign(0.7 * (l[i] as number) + 0.3 * x));
        g.forEach((x, i) => {
          l[i] = 0.9 * (l[i] as number) + 0.1 * x;
        });
        factors(s, g, mask_scaling).forEach((f, i) => {
          q[i] = (q[i] as number) - lr * ((s[i] as number) * f + decay * (q[i] as number));
        });
      });
      adam.params[k]?.toNumbers().forEach((x, i) => {
        expect(x).toBeCloseTo(p[i] as number, 4);
      });
      lion.params[k]?.toNumbers().forEach((x, i) => {
        expect(x).toBeCloseTo(q[i] as number, 4);
      });
    }
  });
});
