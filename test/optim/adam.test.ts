import { describe, expect, it } from 'vitest';
import { clipByGlobalNorm, type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { array } from '../../src/tensor/index.js';
import { noise, randomArray, runTransform, spec } from './support.js';

const specs = { w: spec('matrix', [3, 4]), e: spec('embedding', [5, 2]), g: spec('vector', [6]) };
const shapes = { w: [3, 4], e: [5, 2], g: [6] } as const;
type Key = keyof typeof shapes;
const keys: readonly Key[] = ['w', 'e', 'g'];
const draw = (next: () => number) => Object.fromEntries(keys.map((k) => [k, randomArray(shapes[k], next)]));

/** Algorithm 2 of arXiv:1711.05101 for one number, with the learning rate in the decay as PyTorch has it. */
function scalarAdamW(
  p0: number,
  gs: readonly number[],
  lrs: readonly number[],
  b1: number,
  b2: number,
  eps: number,
  decay: number,
): number[] {
  let [p, m, v] = [p0, 0, 0];
  return gs.map((g, i) => {
    const t = i + 1;
    const lr = lrs[i] as number;
    m = b1 * m + (1 - b1) * g;
    v = b2 * v + (1 - b2) * g * g;
    p -= lr * decay * p;
    p -= (lr * (m / (1 - b1 ** t))) / (Math.sqrt(v / (1 - b2 ** t)) + eps);
    return p;
  });
}

describe('adamw', () => {
  it('equals a scalar loop over 12 steps with a changing rate; gains do not decay', async () => {
    const next = noise(3);
    const start = draw(next);
    const grads = Array.from({ length: 12 }, () => draw(next));
    const lrs = grads.map((_, i) => 0.01 * (1 + (i % 4)));
    const settings = { learning_rate: 1, adam_beta1: 0.9, adam_beta2: 0.97, adam_epsilon: 0.05, weight_decay: 0.3 };
    const transform = (optimizers.adamw as OptimizerMethod).create(settings);
    const before = Object.fromEntries(keys.map((k) => [k, start[k]?.toNumbers() ?? []]));
    const { params } = await runTransform(
      transform,
      specs,
      start,
      grads,
      lrs.map((learning_rate) => ({ learning_rate })),
    );
    for (const k of keys) {
      const got = params[k]?.toNumbers() ?? [];
      got.forEach((value, i) => {
        const gs = grads.map((g) => g[k]?.toNumbers()[i] as number);
        const expected = scalarAdamW(before[k]?.[i] as number, gs, lrs, 0.9, 0.97, 0.05, k === 'g' ? 0 : 0.3).at(-1) as number;
        expect(value).toBeCloseTo(expected, 5);
      });
    }
  });

  it('moves by the learning rate at the first step, whatever the size of the gradient', async () => {
    const { updates } = await runTransform(
      (optimizers.adam as OptimizerMethod).create(optimizers.adam?.defaults ?? {}),
      { g: spec('vector', [3]) },
      { g: array([0, 0, 0]) },
      [{ g: array([1e-3, -5, 200]) }],
      [{ learning_rate: 0.1 }],
    );
    expect(updates[0]?.g?.map((x) => Number(x.toFixed(4)))).toEqual([-0.1, 0.1, -0.1]);
  });
});

describe('clipByGlobalNorm', () => {
  const leaves = { a: spec('vector', [2]), b: spec('vector', [1]) };
  const start = () => ({ a: array([0, 0]), b: array([0]) });
  it('scales all leaves by one factor when their common norm is too large', async () => {
    const { updates } = await runTransform(clipByGlobalNorm(6.5), leaves, start(), [{ a: array([3, 4]), b: array([12]) }], [{}]);
    expect(updates[0]?.a?.[0]).toBeCloseTo(1.5, 5);
    expect(updates[0]?.a?.[1]).toBeCloseTo(2, 5);
    expect(updates[0]?.b?.[0]).toBeCloseTo(6, 5);
  });
  it('leaves small gradients alone, zeros too', async () => {
    const { updates } = await runTransform(
      clipByGlobalNorm(100),
      leaves,
      start(),
      [
        { a: array([3, 4]), b: array([0]) },
        { a: array([0, 0]), b: array([0]) },
      ],
      [{}, {}],
    );
    expect(updates[0]?.a).toEqual([3, 4]);
    expect(updates[1]?.a).toEqual([0, 0]);
  });
});
