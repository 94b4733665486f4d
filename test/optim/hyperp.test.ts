import { Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { transferFactors } from '../../src/optim/transform/hyperp.js';
import { type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { zerosArray } from '../../src/tensor/index.js';
import { noise, randomArray, referenceNewtonSchulz, runTransform, spec, toMatrix } from './support.js';

const hyperp = optimizers.hyperp as OptimizerMethod;
const specs = { w: spec('matrix', [5, 8]) };
const rates = (learning_rate: number, steps: number) => Array.from({ length: steps }, () => ({ learning_rate, adamw_learning_rate: 0.1 }));

describe('hyperp', () => {
  it('equals the published step, computed apart', async () => {
    const next = noise(6);
    const start = randomArray([5, 8], next);
    const grads = Array.from({ length: 4 }, () => ({ w: randomArray([5, 8], next) }));
    const { params } = await runTransform(hyperp.create(hyperp.defaults), specs, { w: start }, grads, rates(0.1, 4));
    // the repository's form: heavy-ball sum, the step by the ratio of norms, then back to the norm before
    let [w, m] = [toMatrix(start), Matrix.zeros(5, 8)];
    for (const { w: g } of grads) {
      m = Matrix.mul(m, 0.95).add(toMatrix(g));
      const u = referenceNewtonSchulz(toMatrix(g).add(Matrix.mul(m, 0.95)));
      const radius = w.norm('frobenius');
      const moved = Matrix.sub(w, u.mul((0.1 * radius) / u.norm('frobenius')));
      w = moved.mul(radius / moved.norm('frobenius'));
    }
    params.w?.toNumbers().forEach((x, i) => {
      expect(x).toBeCloseTo(w.to1DArray()[i] as number, 4);
    });
  });

  it('keeps the norm of a matrix over many steps and turns it by the angle of the rate', async () => {
    const next = noise(9);
    const start = randomArray([5, 8], next);
    const before = toMatrix(start);
    const grads = Array.from({ length: 200 }, () => ({ w: randomArray([5, 8], next) }));
    const { params, updates } = await runTransform(hyperp.create(hyperp.defaults), specs, { w: start }, grads, rates(0.05, 200));
    const radius = before.norm('frobenius');
    expect(toMatrix(params.w as typeof start).norm('frobenius') / radius).toBeCloseTo(1, 5);
    const step = Math.hypot(...(updates[0]?.w ?? [])) / radius;
    expect(step).toBeGreaterThan(0.04);
    expect(step).toBeLessThan(0.0501);
  });

  it('leaves a matrix of zeros where it is', async () => {
    const next = noise(1);
    const run = await runTransform(
      hyperp.create(hyperp.defaults),
      specs,
      { w: zerosArray([5, 8]) },
      [{ w: randomArray([5, 8], next) }],
      rates(0.1, 1),
    );
    expect(run.updates[0]?.w?.every((x) => x === 0)).toBe(true);
  });

  it('carries the rate over depth and tokens', async () => {
    expect(transferFactors(hyperp.defaults)).toEqual({ hidden: 1, rest: 1 });
    const larger = { ...hyperp.defaults, num_hidden_layers: 32, train_tokens: 104e9 };
    expect(transferFactors(larger).rest).toBeCloseTo(0.5, 12);
    expect(transferFactors(larger).hidden).toBeCloseTo(0.5 * 10 ** -0.32, 12);
    expect(() => transferFactors({ ...hyperp.defaults, train_tokens: 0 })).toThrow(/train_tokens/);
    // a factor of a half is a rate of a half
    const next = noise(3);
    const both = { w: spec('matrix', [5, 8]), g: spec('vector', [4]) };
    const start = { w: randomArray([5, 8], next), g: randomArray([4], next) };
    const grads = [{ w: randomArray([5, 8], next), g: randomArray([4], next) }];
    const deep = await runTransform(hyperp.create({ ...hyperp.defaults, num_hidden_layers: 32 }), both, start, grads, rates(0.1, 1));
    const half = await runTransform(hyperp.create(hyperp.defaults), both, start, grads, [
      { learning_rate: 0.05, adamw_learning_rate: 0.05 },
    ]);
    for (const k of ['w', 'g'])
      deep.updates[0]?.[k]?.forEach((x, i) => {
        expect(x).toBeCloseTo(half.updates[0]?.[k]?.[i] as number, 7);
      });
  });
});
