import { describe, expect, it } from 'vitest';
import type { Limit, Method, Settings } from '../../../src/contracts/index.js';
import type { ExampleSet } from '../../../src/data/examples/index.js';
import type { BackendName, NDArray } from '../../../src/tensor/index.js';
import type { ObjectiveMethod } from '../../../src/train/objective/index.js';
import type { Frozen } from '../../../src/train/step.js';
import { batchOf, turned } from './examples.js';
import { decoderParams, gradientGap, lossRunner, model, moved, type Outcome, ownParams, type RunInputs } from './lossRun.js';

export interface Suite<M extends Method> {
  readonly methods: Readonly<Record<string, M>>;
  /** the loss of one method at settings that change its defaults */
  objective(method: M, settings: Settings): ObjectiveMethod;
  examples(method: M): ExampleSet;
  /** the examples with the last token of one sequence changed, which no counted position sees */
  unseen?(method: M): ExampleSet;
  /** settings at which every branch of a method is met, where its defaults do not */
  readonly settings?: Readonly<Record<string, Settings>>;
  /** methods with a parent and without limits, and why */
  readonly withoutLimits: Readonly<Record<string, string>>;
  /** methods whose draws belong to the place in the batch */
  readonly draws: readonly string[];
  /** methods that hold weights fixed in the gradient, so that differences of the loss are not its gradient */
  readonly detached: readonly string[];
  /** what a limit claims equality of: `gradient` where the losses differ by a constant */
  of?(limit: Limit): 'all' | 'gradient';
}

const policy = decoderParams(3);
const other = decoderParams(4);
/** Near the policy, as references are. */
export const frozenModels: Frozen<NDArray> = { reference: other, old: moved(policy, 0.02).tree, history: other };

/** The suite that every method of a slot of losses passes. */
export function conformance<M extends Method>(suite: Suite<M>): void {
  describe.each(Object.values(suite.methods))('$id', (method: M) => {
    const own = { ...suite.settings?.[method.id] };
    const set = suite.examples(method);
    const runner = (of: M, settings: Settings, backend: BackendName = 'reference') => {
      const objective = suite.objective(of, settings);
      const run = lossRunner(model, objective, backend);
      const heads = ownParams(objective, set.examples.length);
      return (change: Partial<RunInputs> = {}): Promise<Outcome> =>
        run({ params: policy, own: heads, frozen: frozenModels, batch: batchOf(set), ...change });
    };
    const at = runner(method, own);

    it('states its family: a known parent, JSON defaults, settings that exist, a demonstration where it has a seed', () => {
      if (method.parent !== undefined) expect(Object.keys(suite.methods)).toContain(method.parent);
      expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
      for (const name of [...Object.keys(method.knobs ?? {}), ...method.limits.flatMap(({ settings }) => Object.keys(settings))])
        expect(Object.keys(method.defaults)).toContain(name);
      expect(method.demo !== undefined).toBe(method.seed !== undefined);
      expect(method.parent === undefined || method.limits.length > 0 || suite.withoutLimits[method.id] !== undefined).toBe(true);
    });

    it('has a finite loss and gradients that reach the model and what is its own', async () => {
      const { loss, grads, metrics, count } = await at();
      expect(Number.isFinite(loss)).toBe(true);
      expect(count).toBeGreaterThan(0);
      for (const [name, x] of Object.entries(metrics)) expect(Number.isFinite(x), name).toBe(true);
      for (const [path, g] of Object.entries(grads)) {
        expect(g.every(Number.isFinite), path).toBe(true);
        // a reward model has no use for the head that predicts tokens
        if (path.includes('lm_head') && suite.methods.prm) continue;
        expect(
          g.some((x) => Math.abs(x) > 1e-9),
          path,
        ).toBe(true);
      }
    });

    it.skipIf(suite.draws.includes(method.id))('is the same packed as padded, in any order, and with places that are empty', async () => {
      const base = await at();
      const packed = await at({ batch: batchOf(set, set.sequences === 1 ? 2 : 3) });
      const reversed = await at({ batch: batchOf(turned(set)) });
      const emptier = await at({ batch: batchOf(set, undefined, set.examples.length + 1) });
      // what belongs to single examples goes by their number in the set, which turning changes
      const ordered = 'own.delta' in base.grads ? {} : { reversed };
      for (const [name, outcome] of Object.entries({ packed, emptier, ...ordered })) {
        expect(outcome.loss, name).toBeCloseTo(base.loss, 5);
        expect(outcome.count, name).toBe(base.count);
        expect(gradientGap(outcome, base), name).toBeLessThan(2e-4);
        for (const [metric, x] of Object.entries(base.metrics)) expect(outcome.metrics[metric], `${name} ${metric}`).toBeCloseTo(x, 4);
      }
    });

    it.skipIf(suite.detached.includes(method.id))('has the gradient that differences of the loss show', async () => {
      const step = 1e-3;
      const { tree, direction } = moved(policy, step);
      const [base, up, down] = [await at(), await at({ params: tree }), await at({ params: moved(policy, -step).tree })];
      const slope = (up.loss - down.loss) / (2 * step);
      const claimed = Object.entries(direction).reduce(
        (s, [path, d]) => s + d.reduce((a, x, i) => a + x * (base.grads[`model.${path}`]?.[i] ?? 0), 0),
        0,
      );
      expect(Math.abs(slope)).toBeGreaterThan(1e-3);
      expect(Math.abs(claimed - slope)).toBeLessThan(5e-3 * Math.max(1, Math.abs(slope)));
    });

    it('does not depend on tokens that no counted position sees', async () => {
      const changed = suite.unseen?.(method);
      if (!changed) return;
      const [a, b] = [await at(), await at({ batch: batchOf(changed) })];
      expect(b.loss).toBeCloseTo(a.loss, 6);
      expect(gradientGap(a, b)).toBeLessThan(1e-5);
    });

    it('runs on the default backend as on the reference', async () => {
      const [fast, exact] = [await runner(method, own, 'ort')(), await at()];
      expect(fast.loss).toBeCloseTo(exact.loss, 3);
      expect(gradientGap(fast, exact)).toBeLessThan(5e-3);
    });

    it.each(method.limits.map((l) => [JSON.stringify(l.settings), l] as const))(
      'equals its parent at %s and not elsewhere',
      async (_, limit) => {
        const parent = suite.methods[method.parent ?? ''] as M;
        const shared = Object.fromEntries(Object.entries(own).filter(([name]) => Object.hasOwn(parent.defaults, name)));
        const frozen = limit.inputs === 'the old policy is the policy' ? { ...frozenModels, old: policy } : frozenModels;
        const theirs = await runner(parent, { ...suite.settings?.[parent.id], ...shared })({ frozen });
        const mine = await runner(method, { ...own, ...limit.settings })({ frozen });
        if (suite.of?.(limit) !== 'gradient') expect(Math.abs(mine.loss - theirs.loss)).toBeLessThanOrEqual(limit.tolerance);
        expect(gradientGap(mine, theirs)).toBeLessThanOrEqual(limit.tolerance);
        const elsewhere = await at();
        const plain = await runner(parent, { ...suite.settings?.[parent.id], ...shared })();
        expect(gradientGap(elsewhere, plain)).toBeGreaterThan(1e-4);
      },
    );
  });
}
