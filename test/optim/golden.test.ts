import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ParamSpec, Settings } from '../../src/contracts/index.js';
import { type Leaves, type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { NDArray } from '../../src/tensor/index.js';
import { runTransform, spec } from './support.js';

/** Written by fixtures/optim/optimizers.py with PyTorch and optax. */
interface Golden {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly rates: readonly number[];
  readonly start: Leaves<number[]>;
  readonly grads: readonly Leaves<number[]>[];
  readonly cases: readonly { readonly id: string; readonly settings: Settings; readonly params: readonly Leaves<number[]>[] }[];
}

const golden = JSON.parse(readFileSync(new URL('../../fixtures/optim/optimizers.json', import.meta.url), 'utf8')) as Golden;
const specs: Leaves<ParamSpec> = { w: spec('matrix', golden.shapes.w ?? []), g: spec('vector', golden.shapes.g ?? []) };
const arrays = (tree: Leaves<number[]>): Leaves<NDArray> =>
  Object.fromEntries(Object.entries(tree).map(([k, x]) => [k, new NDArray('f32', golden.shapes[k] ?? [], Float32Array.from(x))]));

describe('PyTorch and optax', () => {
  it.each(golden.cases.map((c) => [c.id, JSON.stringify(c.settings), c] as const))(
    'agree with %s at %s',
    async (id, _, { settings, params }) => {
      const method = optimizers[id] as OptimizerMethod;
      const rates = golden.rates.map((learning_rate) => ({ learning_rate }));
      const run = await runTransform(
        method.create({ ...method.defaults, ...settings }),
        specs,
        arrays(golden.start),
        golden.grads.map(arrays),
        rates,
      );
      const position = Object.fromEntries(Object.entries(golden.start).map(([k, x]) => [k, [...x]]));
      run.updates.forEach((update, step) => {
        for (const [k, u] of Object.entries(update)) {
          const p = position[k] as number[];
          u.forEach((x, i) => {
            p[i] = (p[i] as number) + x;
            expect(p[i]).toBeCloseTo(params[step]?.[k]?.[i] as number, 4);
          });
        }
      });
    },
  );
});
