import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { newtonSchulz } from '../../src/optim/transform/newtonSchulz.js';
import { costOf } from '../../src/tensor/compile/cost.js';
import { topoSort } from '../../src/tensor/graph.js';
import { array, compile, constant, NDArray, type Tensor } from '../../src/tensor/index.js';
import { noise, randomArray, referenceNewtonSchulz, runTransform, spec, toMatrix } from './support.js';

const muon = optimizers.muon as OptimizerMethod;
describe('newtonSchulz', () => {
  const orthogonalise = compile((g: Tensor) => newtonSchulz(g, 5), { backend: 'reference' });

  it.each([
    [12, 20],
    [20, 12],
    [16, 16],
    [1, 7],
  ])('keeps the singular vectors of a %i x %i matrix and brings its singular values near one', async (rows, columns) => {
    const g = randomArray([rows, columns], noise(rows * 100 + columns));
    const result = toMatrix(await orthogonalise.run(g));
    const svd = new SingularValueDecomposition(toMatrix(g), { autoTranspose: true });
    const rank = Math.min(rows, columns);
    const u = svd.leftSingularVectors.subMatrix(0, rows - 1, 0, rank - 1);
    const v = svd.rightSingularVectors.subMatrix(0, columns - 1, 0, rank - 1);
    const core = u.transpose().mmul(result).mmul(v);
    // the iteration's range is claimed for values that five steps can lift: above about 0.01 of the norm
    const norm = toMatrix(g).norm('frobenius');
    for (let i = 0; i < rank; i++)
      for (let j = 0; j < rank; j++) {
        if (i !== j) expect(Math.abs(core.get(i, j))).toBeLessThan(1e-3);
        else if ((svd.diagonal[i] as number) > 0.02 * norm) {
          expect(core.get(i, i)).toBeGreaterThan(0.6);
          expect(core.get(i, i)).toBeLessThan(1.3);
        }
      }
    expect(svd.diagonal[0] as number).toBeGreaterThan(0.02 * norm);
  });

  it('treats every matrix of a batch by itself', async () => {
    const next = noise(5);
    const batch = randomArray([3, 4, 6], next);
    const together = (await orthogonalise.run(batch)).toNumbers();
    for (let k = 0; k < 3; k++) {
      const one = new NDArray('f32', [4, 6], Float32Array.from(batch.toNumbers().slice(k * 24, k * 24 + 24)));
      (await orthogonalise.run(one)).toNumbers().forEach((x, i) => {
        expect(together[k * 24 + i]).toBeCloseTo(x, 6);
      });
    }
  });

  it('gives zero for a zero matrix', async () => {
    expect(
      (
        await orthogonalise.run(
          array([
            [0, 0],
            [0, 0],
          ]),
        )
      ).toNumbers(),
    ).toEqual([0, 0, 0, 0]);
  });
});

describe('muon', () => {
  const settings = { ...muon.defaults, weight_decay: 0.2 };

  it('equals the published update, computed apart, over several steps', async () => {
    const next = noise(11);
    // stored [in, out]: fan_out / fan_in = 2 for `wide`, below one for `tall`
    const specs = { wide: spec('matrix', [4, 8]), tall: spec('matrix', [9, 3]) };
    const start = { wide: randomArray([4, 8], next), tall: randomArray([9, 3], next) };
    const grads = Array.from({ length: 4 }, () => ({ wide: randomArray([4, 8], next), tall: randomArray([9, 3], next) }));
    const lr = 0.05;
    const expected = { wide: toMatrix(start.wide), tall: toMatrix(start.tall) };
    for (const name of ['wide', 'tall'] as const) {
      let buffer = Matrix.zeros(expected[name].rows, expected[name].columns);
      const scale = name === 'wide' ? Math.SQRT2 : 1;
      for (const g of grads) {
        // the heavy-ball form of the paper: b = mu b + g, d = g + mu b; the iteration does not see its scale
        buffer = Matrix.mul(buffer, 0.95).add(toMatrix(g[name]));
        const direction = referenceNewtonSchulz(toMatrix(g[name]).add(Matrix.mul(buffer, 0.95)));
        expected[name].mul(1 - lr * 0.2).sub(direction.mul(scale * lr));
      }
    }
    const { params } = await runTransform(
      muon.create(settings),
      specs,
      start,
      grads,
      grads.map(() => ({ learning_rate: lr, adamw_learning_rate: 0.1 })),
    );
    for (const name of ['wide', 'tall'] as const)
      params[name]?.toNumbers().forEach((x, i) => {
        expect(x).toBeCloseTo(expected[name].to1DArray()[i] as number, 4);
      });
  });

  it('counts the matrix products that its graph does', () => {
    for (const [rows, columns] of [
      [8, 24],
      [24, 8],
    ] as const) {
      const products = topoSort([newtonSchulz(constant(randomArray([rows, columns], noise(1))), 5)]).filter((n) => n.op === 'matmul');
      const counted = products.reduce((n, node) => n + costOf(node).flops, 0);
      const claimed = muon.flops({ w: spec('matrix', [rows, columns]) }, muon.defaults) - 11 * rows * columns;
      expect(claimed).toBe(counted);
    }
  });
});
