import { describe, expect, it } from 'vitest';
import { compile, grad, logSoftmax, mul, NDArray, sum, type Tensor } from '../../../src/tensor/index.js';
import type { LossContext, PolicyTensors } from '../../../src/train/rl/contract.js';
import { projectKl, trustRegionProjection } from '../../../src/train/rl/parts/trustRegion.js';
import { numbers } from './support.js';

/** The projection as a plain loop in float64: halves an interval of the exponent a until nothing is left to halve. */
const logsumexp = (x: readonly number[]): number => {
  const top = Math.max(...x);
  return top + Math.log(x.reduce((s, v) => s + Math.exp(v - top), 0));
};
const normal = (x: readonly number[]): number[] => x.map((v) => v - logsumexp(x));
const divergence = (p: readonly number[], q: readonly number[]): number =>
  p.reduce((s, v, i) => s + Math.exp(v) * (v - (q[i] as number)), 0);
const between = (q: readonly number[], o: readonly number[], a: number): number[] =>
  normal(q.map((v, i) => a * v + (1 - a) * (o[i] as number)));

function projected(q: readonly number[], o: readonly number[], bound: number): number[] {
  if (divergence(q, o) <= bound) return [...q];
  let [low, high] = [0, 1];
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (divergence(between(q, o, middle), o) > bound) high = middle;
    else low = middle;
  }
  return between(q, o, low);
}

const rows = (count: number, width: number, spread: number, seed: number): number[][] => {
  const next = numbers(seed);
  return Array.from({ length: count }, () => Array.from({ length: width }, () => spread * (2 * next() - 1)));
};
const put = (x: readonly (readonly number[])[]): NDArray => new NDArray('f32', [x.length, x[0]?.length ?? 0], Float32Array.from(x.flat()));
const list = (x: unknown): number[] => (x as NDArray).toNumbers();
// what the graph sees, as it sees it
const asF32 = (x: readonly (readonly number[])[]): number[][] => x.map((row) => [...Float32Array.from(row)]);

describe('projection onto a KL ball', () => {
  const fresh = asF32(rows(12, 6, 2.5, 3));
  const former = asF32(rows(12, 6, 2.5, 8));
  // the first rows are near each other
  for (const i of [0, 1, 2]) former[i] = [...Float32Array.from(fresh[i] as number[], (v, j) => v + 0.01 * j)];

  it.each(['reference', undefined] as const)('equals a bisection in float64 (backend %s)', async (backend) => {
    for (const bound of [0.001, 0.05, 0.5]) {
      const fn = compile(
        (q: Tensor, o: Tensor) => {
          const { logp, kl, moved } = projectKl(logSoftmax(q), logSoftmax(o), bound);
          return { logp, kl, moved };
        },
        { ...(backend ? { backend } : {}), threads: 1 },
      );
      const out = await fn.run(put(fresh), put(former));
      fn.dispose();
      const [logp, kl, moved] = [list(out.logp), list(out.kl), list(out.moved)];
      expect(moved.slice(0, 3)).toEqual([0, 0, 0]);
      expect(moved.reduce((a, b) => a + b, 0)).toBeGreaterThan(5);
      for (const [i, row] of fresh.entries()) {
        const [q, o] = [normal(row), normal(former[i] as number[])];
        const want = projected(q, o, bound);
        for (const [j, w] of want.entries()) expect(Math.abs((logp[6 * i + j] as number) - w)).toBeLessThan(backend ? 1e-6 : 2e-4);
        expect(Math.abs((kl[i] as number) - Math.min(bound, divergence(q, o)))).toBeLessThan(backend ? 1e-8 : 1e-5);
      }
    }
  });

  it('has the slopes of that bisection, the way in which the exponent moves included', async () => {
    const bound = 0.05;
    const weight = rows(12, 6, 1, 21);
    const fn = compile(
      (q: Tensor, o: Tensor, w: Tensor) => {
        const value = sum(mul(projectKl(logSoftmax(q), logSoftmax(o), bound).logp, w));
        return { value, slope: grad(value, q) };
      },
      { backend: 'reference' },
    );
    const out = await fn.run(put(fresh), put(former), put(weight));
    fn.dispose();
    const slope = list(out.slope);
    for (const [i, row] of fresh.entries())
      for (const j of row.keys()) {
        const at = (h: number): number =>
          projected(normal(row.map((v, k) => (k === j ? v + h : v))), normal(former[i] as number[]), bound).reduce(
            (s, v, k) => s + v * Math.fround(weight[i]?.[k] as number),
            0,
          );
        expect(slope[6 * i + j]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 5);
      }
  });
});

describe('TROLL', () => {
  const [B, V] = [10, 9];
  const fresh = asF32(rows(B, V, 2, 5));
  const former = asF32(rows(B, V, 2, 31));
  const drawn = Array.from({ length: B }, (_, i) => (i * 4) % V);
  const advantage = Array.from({ length: B }, (_, i) => (i % 2 === 0 ? 1.5 : -0.5));
  const settings = { troll_bound: 0.05, troll_alpha: 0.7 };

  /** The tokens that are told apart, by plain sorting: the most probable ones, the drawn one, and the others together. */
  const told = (x: readonly number[], o: readonly number[], token: number, k: number): { values: number[]; at: number } => {
    const p = normal(x);
    if (k >= x.length) return { values: p, at: token };
    const order = [...o.keys()].sort((a, b) => (o[b] as number) - (o[a] as number)).slice(0, k);
    const kept = order.includes(token) ? order : [...order, token];
    const values = kept.map((v) => p[v] as number);
    return { values: [...values, Math.log(1 - values.reduce((s, v) => s + Math.exp(v), 0))], at: kept.indexOf(token) };
  };

  /** Loss of a row; `held` is the new policy at which the projection of the second term stands still. */
  const lossOf = (i: number, row: readonly number[], held: readonly number[], k: number): number => {
    const o = former[i] as number[];
    const token = drawn[i] as number;
    const [q, before, still] = [told(row, o, token, k), told(o, o, token, k), told(held, o, token, k)];
    const p = projected(q.values, before.values, settings.troll_bound);
    const fixed = projected(still.values, before.values, settings.troll_bound);
    const ratio = Math.exp((p[q.at] as number) - (normal(o)[token] as number));
    return -ratio * (advantage[i] as number) + settings.troll_alpha * divergence(q.values, fixed);
  };

  it.each([9, 4, 1])('losses and slopes are those of the plain loop, with %s tokens told apart', async (troll_top_k) => {
    const fn = compile(
      (q: Tensor, o: Tensor, targets: Tensor, a: Tensor, old_logp: Tensor) => {
        const policyOf = (x: Tensor) => ({ targets, logits: () => x.reshape([B, 1, V]) }) as unknown as PolicyTensors;
        const context = {
          policy: policyOf(q),
          old: policyOf(o),
          old_logp,
          advantage: a,
          mask: mul(a, 0).add(1),
          settings: { ...settings, troll_top_k },
          knob: (name: 'troll_bound' | 'troll_alpha') => settings[name],
        } as unknown as LossContext;
        const { loss, metrics = {} } = trustRegionProjection.loss(context);
        return { loss, slope: grad(sum(loss), q), metrics };
      },
      { backend: 'reference' },
    );
    const column = (x: readonly number[]): NDArray => new NDArray('f32', [B, 1], Float32Array.from(x));
    const old = former.map((o, i) => normal(o)[drawn[i] as number] as number);
    const targets = new NDArray('i32', [B, 1], Int32Array.from(drawn));
    const out = await fn.run(put(fresh), put(former), targets, column(advantage), column(old));
    fn.dispose();
    const [loss, slope] = [list(out.loss), list(out.slope)];
    for (const [i, row] of fresh.entries()) {
      expect(loss[i]).toBeCloseTo(lossOf(i, row, row, troll_top_k), 5);
      for (const j of row.keys()) {
        const at = (h: number): number =>
          lossOf(
            i,
            row.map((v, k) => (k === j ? v + h : v)),
            row,
            troll_top_k,
          );
        expect(slope[V * i + j]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 4);
      }
    }
    const metrics = out.metrics as Readonly<Record<string, NDArray>>;
    expect(metrics['troll/projected_mean']?.item()).toBeGreaterThan(0.5);
    expect(metrics['troll/kl_mean']?.item()).toBeLessThanOrEqual(settings.troll_bound + 1e-6);
  });
});
