import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ParamSpec, Settings } from '../../src/contracts/index.js';
import { type Leaves, type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { type NDArray, type Tree, treeEntries } from '../../src/tensor/index.js';
import { noise, randomArray, runTransform, spec } from './support.js';

const folder = fileURLToPath(new URL('../../src/optim/transform/', import.meta.url));
const mixed = { w: spec('matrix', [4, 6], 2), e: spec('embedding', [5, 4]), g: spec('vector', [4]) };
const noMatrices = { e: mixed.e, g: mixed.g };
const steps = 3;

/** Some steps on drawn gradients. */
async function runSteps(method: OptimizerMethod, settings: Settings, specs: Leaves<ParamSpec>, rates: Readonly<Record<string, number>>) {
  const next = noise(17);
  const draw = (): Leaves<NDArray> => Object.fromEntries(Object.entries(specs).map(([k, s]) => [k, randomArray(s.shape, next)]));
  const start = draw();
  const grads = Array.from({ length: steps }, draw);
  return runTransform(
    method.create({ ...method.defaults, ...settings }),
    specs,
    start,
    grads,
    grads.map(() => rates),
  );
}

const updatesOf = async (...args: Parameters<typeof runSteps>) => (await runSteps(...args)).updates;

const ratesOf = (method: OptimizerMethod, value = 0.01): Record<string, number> => Object.fromEntries(method.rates.map((r) => [r, value]));

describe('index', () => {
  it('exports every method file of the folder under its own name', () => {
    const methodFiles = readdirSync(folder).filter((f) => /OptimizerMethod = \{/.test(readFileSync(folder + f, 'utf8')));
    expect(Object.keys(optimizers).sort()).toEqual(methodFiles.map((f) => f.replace('.ts', '')).sort());
    for (const [id, method] of Object.entries(optimizers)) expect(method.id).toBe(id);
  });
});

describe.each(Object.values(optimizers))('$id', (method) => {
  it('states its family: a known parent, JSON defaults, scheduled rates among its settings', () => {
    if (method.parent !== undefined) expect(Object.keys(optimizers)).toContain(method.parent);
    expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
    for (const rate of method.rates) expect(typeof method.defaults[rate]).toBe('number');
  });

  it("gives finite updates of the parameters' shapes and none at rate zero", async () => {
    const updates = await updatesOf(method, {}, mixed, ratesOf(method));
    for (const step of updates) {
      expect(Object.keys(step)).toEqual(Object.keys(mixed));
      for (const [k, u] of Object.entries(step)) {
        expect(u.length).toBe(mixed[k as keyof typeof mixed].shape.reduce((a, b) => a * b, 1));
        expect(u.every(Number.isFinite)).toBe(true);
      }
    }
    const still = await updatesOf(method, {}, mixed, ratesOf(method, 0));
    expect(
      Object.values(still.at(-1) ?? {})
        .flat()
        .every((x) => Math.abs(x) === 0),
    ).toBe(true);
  });

  it('keeps the structure and the shapes of its state', async () => {
    const shapes = (state: unknown): string[] =>
      treeEntries<NDArray>(state as Tree<NDArray>).map(([path, x]) => `${path} ${x.dtype}[${x.shape}]`);
    const { state } = await runSteps(method, {}, mixed, ratesOf(method));
    expect(shapes(state)).toEqual(shapes(method.create(method.defaults).init(mixed)));
  });

  it('counts a positive number of operations that grows with the parameters', () => {
    const small = method.flops({ w: spec('matrix', [4, 4]) }, method.defaults);
    expect(small).toBeGreaterThan(0);
    expect(method.flops({ w: spec('matrix', [8, 8]) }, method.defaults)).toBeGreaterThanOrEqual(4 * small);
  });

  it.each(method.limits.map((l) => [JSON.stringify(l.settings), l] as const))(
    'equals its parent at %s and nowhere else',
    async (_, limit) => {
      const parent = optimizers[method.parent ?? ''] as OptimizerMethod;
      const specs = limit.inputs === 'no hidden matrices' ? noMatrices : mixed;
      const rates = { ...ratesOf(parent), ...ratesOf(method) };
      const own = await updatesOf(method, limit.settings, specs, rates);
      const theirs = await updatesOf(parent, {}, specs, rates);
      const gap = (a: readonly Leaves<number[]>[], b: readonly Leaves<number[]>[]): number =>
        Math.max(...a.flatMap((s, i) => Object.entries(s).flatMap(([k, u]) => u.map((x, j) => Math.abs(x - (b[i]?.[k]?.[j] as number))))));
      expect(gap(own, theirs)).toBeLessThanOrEqual(limit.tolerance);
      // off the limit the two must differ: with default settings, on inputs of every kind
      expect(gap(await updatesOf(method, {}, mixed, rates), await updatesOf(parent, {}, mixed, rates))).toBeGreaterThan(1e-6);
    },
  );
});
