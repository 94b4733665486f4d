import { describe, expect, it } from 'vitest';
import type { ParamSpec, Settings } from '../../src/contracts/index.js';
import { initPerParameter, updatePerParameter } from '../../src/optim/perParameter.js';
import { type Leaves, type OptimizerMethod, type OptState, optimizers, stateBytes } from '../../src/optim/transform/index.js';
import { compile, foldIn, grad, type NDArray, randomKey, type Tensor, type Tree, treeEntries } from '../../src/tensor/index.js';
import { compileStep, noise, quadraticLoss, randomArray, runTransform, spec } from './support.js';

const mixed = { w: spec('matrix', [4, 6]), e: spec('embedding', [5, 4]), g: spec('vector', [4]) };
/** parameters on which a limit is claimed, by its `inputs` */
const inputsOf: Readonly<Record<string, Leaves<ParamSpec>>> = {
  all: mixed,
  'no hidden matrices': { e: mixed.e, g: mixed.g },
  // the drawn gradients have none
  'gradients without zeros': mixed,
  'vectors without zeros in the gradient': { g: mixed.g },
};
const steps = 3;

/** Settings of which the method knows the names, over its defaults. */
const settingsOf = (method: OptimizerMethod, settings: Settings): Settings => ({
  ...method.defaults,
  ...Object.fromEntries(Object.entries(settings).filter(([k]) => Object.hasOwn(method.defaults, k))),
});

/** The gradients that the method asks for. */
const wanted = <T>(method: OptimizerMethod, settings: Settings, specs: Leaves<ParamSpec>, grads: Leaves<T>): Leaves<T> =>
  Object.fromEntries(Object.entries(grads).filter(([path]) => method.needsGradient?.(specs[path] as ParamSpec, path, settings) ?? true));

/** Some steps on drawn gradients. */
async function runSteps(
  method: OptimizerMethod,
  given: Settings,
  specs: Leaves<ParamSpec>,
  rates: Readonly<Record<string, number>>,
  seed = 7,
) {
  const next = noise(17);
  const draw = (): Leaves<NDArray> => Object.fromEntries(Object.entries(specs).map(([k, s]) => [k, randomArray(s.shape, next)]));
  const start = draw();
  const settings = settingsOf(method, given);
  const grads = Array.from({ length: steps }, draw).map((g) => wanted(method, settings, specs, g));
  return runTransform(
    method.create(settings),
    specs,
    start,
    grads,
    grads.map(() => rates),
    { seed },
  );
}

const updatesOf = async (...args: Parameters<typeof runSteps>) => (await runSteps(...args)).updates;

const ratesOf = (method: OptimizerMethod, value = 0.01): Record<string, number> => Object.fromEntries(method.rates.map((r) => [r, value]));

const isZerothOrder = (method: OptimizerMethod): boolean => method.lossEvaluations !== undefined;

describe.each(Object.values(optimizers))('$id', (method) => {
  it('states its family: a known parent, JSON defaults, scheduled rates and knobs among its settings', () => {
    if (method.parent !== undefined) expect(Object.keys(optimizers)).toContain(method.parent);
    expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
    for (const rate of method.rates) expect(typeof method.defaults[rate]).toBe('number');
    for (const knob of Object.keys(method.knobs ?? {})) expect(Object.keys(method.defaults)).toContain(knob);
    if (method.demo) expect(Object.keys(optimizers)).toContain(method.demo.baseline);
    expect(method.seed === undefined).toBe(method.demo === undefined);
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

  it('is a function of its inputs and of the key', async () => {
    const first = await updatesOf(method, {}, mixed, ratesOf(method));
    expect(await updatesOf(method, {}, mixed, ratesOf(method))).toEqual(first);
    const other = await updatesOf(method, {}, mixed, ratesOf(method), 8);
    if (isZerothOrder(method)) expect(other).not.toEqual(first);
    else expect(other).toEqual(first);
  });

  it('counts a positive number of operations that grows with the parameters', () => {
    const small = method.flops({ w: spec('matrix', [4, 4]) }, method.defaults);
    expect(small).toBeGreaterThan(0);
    expect(method.flops({ w: spec('matrix', [8, 8]) }, method.defaults)).toBeGreaterThanOrEqual(4 * small);
    if (method.lossEvaluations) expect(method.lossEvaluations(method.defaults)).toBeGreaterThanOrEqual(2);
  });

  it.runIf(isZerothOrder(method))('evaluates the loss as often as it says', async () => {
    let evaluations = 0;
    const loss = (p: Leaves<Tensor>): Tensor => {
      evaluations++;
      return quadraticLoss(p);
    };
    const step = compile(
      (params: Leaves<Tensor>, rates: Readonly<Record<string, Tensor>>, key: Tensor) =>
        method
          .create(method.defaults)
          .update(wanted(method, method.defaults, mixed, params), {}, { params, specs: mixed, rates, probe: { key, lossAt: loss } })
          .updates,
      { backend: 'reference' },
    );
    const params = Object.fromEntries(Object.entries(mixed).map(([k, s]) => [k, randomArray(s.shape, noise(1))]));
    await step.run(params, ratesOf(method), randomKey(0));
    expect(evaluations).toBe(method.lossEvaluations?.(method.defaults));
  });

  it('descends on a quadratic, on the reference and on the runtime alike', async () => {
    const next = noise(23);
    const start: Leaves<NDArray> = Object.fromEntries(Object.entries(mixed).map(([k, s]) => [k, randomArray(s.shape, next)]));
    const transform = method.create(method.defaults);
    const gradients = compile((params: Leaves<Tensor>) => grad(quadraticLoss(params), params), { backend: 'reference' });
    const finals: number[] = [];
    for (const backend of ['reference', 'ort'] as const) {
      const step = compileStep(transform, mixed, { backend });
      let [params, state, first, last]: [Leaves<NDArray>, OptState<NDArray>, number, number] = [start, transform.init(mixed), 0, 0];
      for (let i = 0; i < 60; i++) {
        const grads = wanted(method, method.defaults, mixed, await gradients.run(params));
        const out = await step.run(params, grads, state, ratesOf(method), foldIn(randomKey(3), i));
        [params, state, last] = [out.params, out.state as OptState<NDArray>, out.loss.item()];
        if (i === 0) first = last;
      }
      step.dispose();
      expect(last).toBeLessThan(0.9 * first);
      finals.push(last / first);
    }
    gradients.dispose();
    expect(finals[1]).toBeCloseTo(finals[0] as number, 2);
  });

  it.each(method.limits.map((l) => [JSON.stringify(l.settings), l] as const))(
    'equals its parent at %s and nowhere else',
    async (_, limit) => {
      const parent = optimizers[method.parent ?? ''] as OptimizerMethod;
      const specs = inputsOf[limit.inputs ?? 'all'];
      if (!specs) throw new Error(`no inputs are known as '${limit.inputs}'`);
      const rates = { ...ratesOf(parent), ...ratesOf(method) };
      const own = await updatesOf(method, limit.settings, specs, rates);
      const theirs = await updatesOf(parent, limit.settings, specs, rates);
      const gap = (a: readonly Leaves<number[]>[], b: readonly Leaves<number[]>[]): number =>
        Math.max(...a.flatMap((s, i) => Object.entries(s).flatMap(([k, u]) => u.map((x, j) => Math.abs(x - (b[i]?.[k]?.[j] as number))))));
      expect(gap(own, theirs)).toBeLessThanOrEqual(limit.tolerance);
      // off the limit the two must differ: with default settings, on inputs of every kind
      expect(gap(await updatesOf(method, {}, mixed, rates), await updatesOf(parent, {}, mixed, rates))).toBeGreaterThan(
        Math.max(1e-6, 2 * limit.tolerance),
      );
    },
  );

  it('gives the same updates parameter by parameter, or says that it needs the loss', async () => {
    const transform = method.create(method.defaults);
    const step = compile(
      (params: Leaves<Tensor>, grads: Leaves<Tensor>, state: Leaves<OptState<Tensor>>, rates: Readonly<Record<string, Tensor>>) =>
        updatePerParameter(transform, grads, state, { params, specs: mixed, rates }, 1e9),
      { backend: 'reference' },
    );
    const next = noise(31);
    const draw = (): Leaves<NDArray> => Object.fromEntries(Object.entries(mixed).map(([k, s]) => [k, randomArray(s.shape, next)]));
    const [start, grads] = [draw(), [draw(), draw()]];
    let [params, state] = [start, initPerParameter(transform, mixed)];
    const walk = async (): Promise<void> => {
      for (const g of grads) {
        const out = await step.run(params, g, state, ratesOf(method));
        [params, state] = [out.params, out.state as typeof state];
      }
    };
    if (isZerothOrder(method)) {
      await expect(walk()).rejects.toThrow(/evaluates the loss itself/);
      return;
    }
    await walk();
    const whole = await runTransform(
      transform,
      mixed,
      start,
      grads,
      grads.map(() => ratesOf(method)),
    );
    for (const k of Object.keys(mixed))
      params[k]?.toNumbers().forEach((x, i) => {
        expect(x).toBeCloseTo(whole.params[k]?.toNumbers()[i] as number, 6);
      });
  });
});

describe('stateBytes', () => {
  const square = { w: spec('matrix', [256, 256]) };
  const bytes = (id: string, settings: Settings = {}): number => stateBytes(optimizers[id] as OptimizerMethod, square, settings);
  it('weighs the state of every family', () => {
    const n = 256 * 256;
    expect(bytes('sgd', { momentum: 0 })).toBe(0);
    expect(bytes('sgd')).toBe(4 * n);
    expect(bytes('lion')).toBe(4 * n);
    expect(bytes('mezo')).toBe(0);
    expect(bytes('fzoo')).toBe(0);
    // two moments and the two running corrections
    expect(bytes('adam')).toBe(8 * n + 8);
    // a row, a column and the step
    expect(bytes('adafactor')).toBe(4 * 512 + 4);
    expect(bytes('cautious-adamw')).toBe(bytes('adamw'));
  });
});
