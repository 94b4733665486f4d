import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { type NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { type ObjectiveMethod, objectives } from '../../../src/train/objective/index.js';
import { oracles, statesOf } from './oracle.js';
import { gradientGap, moved, ownParams, params, type Rows, rows, runObjective } from './support.js';

const methods = Object.values(objectives);

/** Settings at which the loops are compared, so that every branch of a formula is met. */
const variants: Readonly<Record<string, readonly Settings[]>> = {
  mtp: [{}, { window: 2, weight: 0.5 }],
  fsp: [{ window: 3 }, {}, { window: 4, weight: 2, token_weights: 'idf' }],
  'next-tobe': [{ weight: 1 }, { weight: 0.7, window: 4, gamma: 0.5, bandwidth: 1, restart: 0.1 }, { weight: 1, epsilon: 0.05 }],
  'rope-perturbed': [{ perturbation: 'skip' }, { perturbation: 'cyclic', weight: 0.5 }],
};

/** Methods whose draws belong to the place of a row in the batch. */
const drawsByRow = new Set(['rope-perturbed']);

/** The rows as two documents packed into one row, and as rows of their own. */
const packed: Rows = {
  inputs: [[3, 1, 4, 2, 6, 5]],
  targets: [[1, 4, -1, 6, 5, 3]],
  segment_ids: [[1, 1, 1, 2, 2, 2]],
  positions: [[0, 1, 2, 0, 1, 2]],
};
const unpacked: Rows = {
  inputs: [
    [3, 1, 4],
    [2, 6, 5],
  ],
  targets: [
    [1, 4, -1],
    [6, 5, 3],
  ],
};

describe.each(methods)('$id', (method: ObjectiveMethod) => {
  it('states its family: a known parent, JSON defaults, a line for a setting that exists, a demonstration where it has a seed', () => {
    if (method.parent !== undefined) expect(Object.keys(objectives)).toContain(method.parent);
    expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
    for (const name of Object.keys(method.knobs ?? {})) expect(Object.keys(method.defaults)).toContain(name);
    for (const { settings } of method.limits)
      for (const name of Object.keys(settings)) expect(Object.keys(method.defaults)).toContain(name);
    expect(method.demo !== undefined).toBe(method.seed !== undefined);
    if (method.parent) expect(method.limits.length).toBeGreaterThan(0);
  });

  it('has a finite loss and gradients that reach every parameter, its own included', async () => {
    const { loss, grads, metrics } = await runObjective(method);
    expect(Number.isFinite(loss)).toBe(true);
    for (const x of Object.values(metrics)) expect(Number.isFinite(x)).toBe(true);
    for (const [path, g] of Object.entries(grads)) {
      expect(g.every(Number.isFinite), path).toBe(true);
      expect(
        g.some((x) => Math.abs(x) > 1e-9),
        path,
      ).toBe(true);
    }
    const own = treeEntries<NDArray>(ownParams(method, {}) as Tree<NDArray>).length;
    expect(Object.keys(grads).filter((path) => path.startsWith('own')).length).toBe(own);
  });

  it.each((variants[method.id] ?? [{}]).map((s) => [JSON.stringify(s), s] as const))(
    'equals plain loops, and its gradient their finite differences, at %s',
    async (_, settings) => {
      const full = { ...method.defaults, ...settings };
      const oracle = oracles[method.id];
      if (!oracle) throw new Error(`no loops for ${method.id}`);
      const trees = { model: params, own: ownParams(method, settings) };
      const got = await runObjective(method, { settings });
      const here = await statesOf(method, full, trees, rows, 11);
      expect(got.loss).toBeCloseTo(oracle(here, here, rows, full), 5);

      const step = 2e-3;
      const [up, down] = [moved(trees, step), moved(trees, -step)];
      const lossAt = async (tree: typeof trees): Promise<number> => oracle(await statesOf(method, full, tree, rows, 11), here, rows, full);
      const slope = ((await lossAt(up.tree)) - (await lossAt(down.tree))) / (2 * step);
      const claimed = Object.entries(got.grads).reduce(
        (s, [path, g]) => s + g.reduce((a, x, i) => a + x * (up.direction[path]?.[i] as number), 0),
        0,
      );
      expect(Math.abs(claimed - slope)).toBeLessThan(2e-3 * Math.max(1, Math.abs(slope)));
      expect(Math.abs(slope)).toBeGreaterThan(0.01);
    },
  );

  it('ignores what does not count: other negative targets, inputs that no counted position sees, rows without targets', async () => {
    const base = await runObjective(method);
    const negative = { ...rows, targets: rows.targets.map((row) => row.map((x) => (x < 0 ? -100 : x))) };
    const unseen = { ...rows, inputs: rows.inputs.map((row, b) => (b === 1 ? [...row.slice(0, -1), 0] : row)) };
    const longer = { inputs: [...rows.inputs, [1, 2, 3, 4, 5, 6]], targets: [...rows.targets, [-1, -1, -1, -1, -1, -1]] };
    for (const batch of [negative, unseen, longer]) {
      const other = await runObjective(method, { batch });
      expect(other.loss).toBeCloseTo(base.loss, 6);
      expect(gradientGap(other, base)).toBeLessThan(1e-5);
    }
    const seen = { ...rows, inputs: rows.inputs.map((row, b) => (b === 1 ? [0, ...row.slice(1)] : row)) };
    expect(Math.abs((await runObjective(method, { batch: seen })).loss - base.loss)).toBeGreaterThan(1e-4);
  });

  it('is 0 where nothing counts', async () => {
    const nothing = { ...rows, targets: rows.targets.map((row) => row.map(() => -1)) };
    const { loss, grads } = await runObjective(method, { batch: nothing });
    expect(loss).toBe(0);
    for (const g of Object.values(grads)) expect(g.every((x) => x === 0)).toBe(true);
  });

  it('gives the same for the same key, and depends on the key only if it draws', async () => {
    const [first, again, other] = await Promise.all([11, 11, 12].map((key) => runObjective(method, { key })));
    if (!first || !again || !other) throw new Error('three runs');
    expect(again).toEqual(first);
    if (drawsByRow.has(method.id)) expect(other.loss).not.toBe(first.loss);
    else expect(other).toEqual(first);
  });

  it.skipIf(drawsByRow.has(method.id))('does not depend on the order of the rows', async () => {
    const turned = { inputs: [...rows.inputs].reverse(), targets: [...rows.targets].reverse() };
    const [a, b] = [await runObjective(method), await runObjective(method, { batch: turned })];
    expect(b.loss).toBeCloseTo(a.loss, 6);
    expect(gradientGap(a, b)).toBeLessThan(1e-5);
  });

  it.skipIf(drawsByRow.has(method.id))('gives packed documents what they give apart', async () => {
    const [a, b] = [await runObjective(method, { batch: packed }), await runObjective(method, { batch: unpacked })];
    expect(a.loss).toBeCloseTo(b.loss, 6);
    expect(gradientGap(a, b)).toBeLessThan(1e-5);
  });

  it('runs on the default backend as on the reference', async () => {
    const [fast, exact] = [await runObjective(method, { backend: 'ort' }), await runObjective(method)];
    expect(fast.loss).toBeCloseTo(exact.loss, 4);
    expect(gradientGap(fast, exact)).toBeLessThan(1e-3);
  });

  it.each(method.limits.map((l) => [JSON.stringify(l.settings), l] as const))(
    'equals its parent at %s and not at its defaults',
    async (_, limit) => {
      const parent = objectives[method.parent ?? ''] as ObjectiveMethod;
      const [own, theirs] = [await runObjective(method, { settings: limit.settings }), await runObjective(parent)];
      expect(Math.abs(own.loss - theirs.loss)).toBeLessThanOrEqual(limit.tolerance);
      expect(gradientGap(own, theirs)).toBeLessThanOrEqual(limit.tolerance);
      const elsewhere = await runObjective(method);
      expect(Math.abs(elsewhere.loss - theirs.loss)).toBeGreaterThan(1e-4);
      expect(gradientGap(elsewhere, theirs)).toBeGreaterThan(1e-4);
    },
  );

  it('counts operations beside the model that vanish at no cost and grow with the batch', () => {
    const sizes = { model: { trainFlopsPerToken: () => 10, extraLayer: { trainFlopsPerToken: () => 10 }, vocab_size: 7, hidden_size: 8 } };
    const flops = (batch_size: number): number => method.extraFlops?.({ ...sizes, batch_size, context: 6 } as never, method.defaults) ?? 0;
    if (method.parent) expect(flops(1)).toBeGreaterThan(0);
    expect(flops(4)).toBe(4 * flops(1));
  });
});
