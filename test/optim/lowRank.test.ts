import { inverse, Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import {
  initFactors,
  inverseSpd,
  type OptimizerMethod,
  optimizers,
  orthonormalColumns,
  stateBytes,
} from '../../src/optim/transform/index.js';
import { compile, NDArray } from '../../src/tensor/index.js';
import { noise, randomArray, referenceNewtonSchulz, runTransform, spec, toMatrix } from './support.js';

const toArray = (m: Matrix): NDArray => new NDArray('f32', [m.rows, m.columns], Float32Array.from(m.to1DArray()));
const gap = (a: Matrix, b: Matrix): number => Matrix.sub(a, b).abs().max();

describe('orthonormalColumns', () => {
  const run = compile(orthonormalColumns, { backend: 'reference' });
  it.each([
    [6, 1],
    [9, 4],
    [5, 5],
  ])('spans the columns of a %i x %i matrix with orthonormal ones', async (m, k) => {
    const y = randomArray([m, k], noise(m + k));
    const q = toMatrix(await run.run(y));
    expect(gap(q.transpose().mmul(q), Matrix.eye(k, k))).toBeLessThan(1e-6);
    expect(gap(q.mmul(q.transpose()).mmul(toMatrix(y)), toMatrix(y))).toBeLessThan(1e-6);
  });
  it('stays orthogonal where the columns almost agree, in float32 on the runtime', async () => {
    const next = noise(2);
    const base = Array.from({ length: 12 }, next);
    const y = Matrix.zeros(12, 3);
    for (let i = 0; i < 12; i++) for (let j = 0; j < 3; j++) y.set(i, j, (base[i] as number) + 1e-3 * next());
    const q = toMatrix(await compile(orthonormalColumns).run(toArray(y)));
    expect(gap(q.transpose().mmul(q), Matrix.eye(3, 3))).toBeLessThan(1e-5);
  });
});

describe('inverseSpd', () => {
  it.each([1, 2, 7])('inverts a positive definite matrix of size %i', async (r) => {
    const x = toMatrix(randomArray([r, r + 3], noise(r)));
    const a = toArray(x.mmul(x.transpose()));
    const result = toMatrix(await compile(inverseSpd, { backend: 'reference' }).run(a));
    expect(gap(result.mmul(toMatrix(a)), Matrix.eye(r, r))).toBeLessThan(1e-5);
    expect(gap(result, inverse(toMatrix(a))) / result.clone().abs().max()).toBeLessThan(1e-5);
  });
});

/** One step of the factors, written out: both from the factors before, with the ridge that the method states. */
function regressReference(left: Matrix, right: Matrix, target: Matrix, gamma: number): [Matrix, Matrix] {
  const inverted = (gram: Matrix): Matrix =>
    inverse(Matrix.add(gram, Matrix.eye(gram.rows, gram.rows).mul((1e-6 * gram.trace()) / gram.rows + 1e-30)));
  const byRight = target.mmul(right.transpose()).mmul(inverted(right.mmul(right.transpose())));
  const byLeft = inverted(left.transpose().mmul(left)).mmul(left.transpose()).mmul(target);
  return [Matrix.mul(left, 1 - gamma).add(byRight.mul(gamma)), Matrix.mul(right, 1 - gamma).add(byLeft.mul(gamma))];
}

describe('lora-pre', () => {
  const loraPre = optimizers['lora-pre'] as OptimizerMethod;
  const specs = { w: spec('matrix', [6, 9]) };
  const next = noise(12);
  const start = randomArray([6, 9], next);
  const grads = Array.from({ length: 5 }, () => ({ w: randomArray([6, 9], next) }));

  it('equals the published update, computed apart', async () => {
    const settings = { ...loraPre.defaults, rank: 2, adam_beta1: 0.9, adam_beta2: 0.95, adam_epsilon: 1e-3, weight_decay: 0.1 };
    const { params } = await runTransform(
      loraPre.create(settings),
      specs,
      { w: start },
      grads,
      grads.map(() => ({ learning_rate: 0.02 })),
    );
    const first = toMatrix(initFactors(specs.w, 2).right);
    let [b, a, d, c] = [Matrix.zeros(6, 2), first, Matrix.zeros(6, 2), first.clone()];
    const w = toMatrix(start);
    grads.forEach(({ w: raw }, t) => {
      const g = toMatrix(raw);
      const m = b.mmul(a).mul(0.9).add(Matrix.mul(g, 0.1));
      const root = d.mmul(c);
      const v = Matrix.mul(root, root).mul(0.95).add(Matrix.mul(g, g).mul(0.05));
      const u = Matrix.div(m.div(1 - 0.9 ** (t + 1)), Matrix.sqrt(v.div(1 - 0.95 ** (t + 1))).add(1e-3));
      w.sub(Matrix.add(u, Matrix.mul(w, 0.1)).mul(0.02));
      [b, a] = regressReference(b, a, g, 1 - Math.sqrt(0.9));
      [d, c] = regressReference(d, c, Matrix.abs(g), 1 - 0.95 ** 0.25);
    });
    expect(gap(toMatrix(params.w as NDArray), w)).toBeLessThan(1e-4);
  });

  it('follows the running mean of gradients that fit into the rank', async () => {
    // rank-one gradients of one direction and varying length: the mean has rank one as well
    const [u, v] = [toMatrix(randomArray([6, 1], next)), toMatrix(randomArray([1, 9], next))];
    const lengths = Array.from({ length: 60 }, (_, i) => 1 + 0.3 * Math.sin(i));
    const { state } = await runTransform(
      loraPre.create({ ...loraPre.defaults, rank: 1 }),
      specs,
      { w: start },
      lengths.map((s) => ({ w: toArray(Matrix.mul(u.mmul(v), s)) })),
      lengths.map(() => ({ learning_rate: 0 })),
    );
    const { left, right } = (state as unknown as { hidden: { 0: { mu: { w: { left: NDArray; right: NDArray } } } } }).hidden[0].mu.w;
    const mean = lengths.reduce((m, s) => 0.9 * m + 0.1 * s, 0);
    const kept = toMatrix(left).mmul(toMatrix(right));
    expect(gap(kept, u.mmul(v).mul(mean)) / u.mmul(v).abs().max()).toBeLessThan(0.1);
  });

  it('keeps a small part of the moments', () => {
    const wide = { w: spec('matrix', [256, 512]) };
    // two pairs of factors, and the running corrections of both groups
    expect(stateBytes(loraPre, wide, { rank: 16 })).toBe(2 * 4 * 16 * (256 + 512) + 16);
    expect(stateBytes(loraPre, wide, { rank: 16 })).toBeLessThan(0.1 * stateBytes(optimizers.adamw as OptimizerMethod, wide));
    expect(() => stateBytes(loraPre, wide, { rank: 0 })).toThrow(/rank/);
  });
});

describe('lora-pre-muon', () => {
  it('equals the published update, computed apart', async () => {
    const method = optimizers['lora-pre-muon'] as OptimizerMethod;
    const specs = { w: spec('matrix', [5, 8]) };
    const next = noise(21);
    const start = randomArray([5, 8], next);
    const grads = Array.from({ length: 4 }, () => ({ w: randomArray([5, 8], next) }));
    const { params } = await runTransform(
      method.create({ ...method.defaults, rank: 2, nesterov: false, weight_decay: 0 }),
      specs,
      { w: start },
      grads,
      grads.map(() => ({ learning_rate: 0.05, adamw_learning_rate: 0 })),
    );
    let [b, a] = [Matrix.zeros(5, 2), toMatrix(initFactors(specs.w, 2).right)];
    const w = toMatrix(start);
    for (const { w: raw } of grads) {
      const g = toMatrix(raw);
      // the paper's sum mu B A + g is this mean times 1 / (1 - mu) with factors scaled alike; the step does not see the factor
      const m = b.mmul(a).mul(0.95).add(Matrix.mul(g, 0.05));
      w.sub(referenceNewtonSchulz(m).mul(0.05 * Math.sqrt(8 / 5)));
      [b, a] = regressReference(b, a, g, 1 - Math.sqrt(0.95));
    }
    expect(gap(toMatrix(params.w as NDArray), w)).toBeLessThan(2e-4);
  });
});
