import { Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import {
  fromGrid,
  type Grid,
  type GridBits,
  type OptimizerMethod,
  optimizers,
  stateBytes,
  toGrid,
  zeroGrid,
} from '../../src/optim/transform/index.js';
import { compile, NDArray, type Tensor } from '../../src/tensor/index.js';
import { noise, randomArray, runTransform, spec, toMatrix } from './support.js';

const roundTrip = (m: number, n: number, bits: GridBits, backend: 'reference' | 'ort' = 'reference') =>
  compile(
    (x: Tensor) => {
      const grid = toGrid(x, bits);
      return { grid, value: fromGrid(grid, [m, n], bits) };
    },
    { backend },
  );

/** The scheme element by element: blocks of equal size, at most 128 on a side. */
function gridReference(x: Matrix, bits: GridBits): Matrix {
  const top = bits === 4 ? 7 : 127;
  const side = (size: number): number => Math.ceil(size / Math.ceil(size / 128));
  const [h, w] = [side(x.rows), side(x.columns)];
  const out = Matrix.zeros(x.rows, x.columns);
  for (let i = 0; i < x.rows; i++)
    for (let j = 0; j < x.columns; j++) {
      const [top0, left0] = [Math.floor(i / h) * h, Math.floor(j / w) * w];
      let [row, column] = [0, 0];
      for (let k = left0; k < Math.min(left0 + w, x.columns); k++) row = Math.max(row, Math.abs(x.get(i, k)));
      for (let k = top0; k < Math.min(top0 + h, x.rows); k++) column = Math.max(column, Math.abs(x.get(k, j)));
      const scale = Math.min(row, column);
      if (scale > 0) {
        const q = (x.get(i, j) / scale) * top;
        // halves to even, as the primitive rounds
        const rounded = Math.abs(q % 1) === 0.5 ? 2 * Math.round(q / 2) : Math.round(q);
        out.set(i, j, (rounded * scale) / top);
      }
    }
  return out;
}

describe('grid quantization', () => {
  it.each([
    [5, 7, 4],
    [8, 8, 8],
    [130, 9, 4],
    [3, 257, 4],
    [1, 1, 8],
  ] as const)('of a %i x %i matrix at %i bits equals the scheme element by element', async (m, n, bits) => {
    const x = randomArray([m, n], noise(m * 1000 + n));
    const { value, grid } = await roundTrip(m, n, bits).run(x);
    expect(
      Matrix.sub(toMatrix(value), gridReference(toMatrix(x), bits))
        .abs()
        .max(),
    ).toBeLessThan(1e-6);
    expect(grid.packed.dtype).toBe('u8');
    expect(grid.packed.data.byteLength).toBe(bits === 4 ? m * Math.ceil(n / 2) : m * n);
  });

  it('gives the same bytes on the runtime', async () => {
    const x = randomArray([40, 33], noise(5));
    const [a, b] = await Promise.all((['reference', 'ort'] as const).map((backend) => roundTrip(40, 33, 4, backend).run(x)));
    const differing = (a?.grid.packed.toNumbers() ?? []).filter((byte, i) => byte !== b?.grid.packed.toNumbers()[i]);
    // values within float32 rounding of a half may go either way
    expect(differing.length).toBeLessThanOrEqual(2);
  });

  it('confines an outlier to itself', async () => {
    const next = noise(7);
    const x = toMatrix(randomArray([16, 16], next)).mul(0.01);
    x.set(3, 5, 100);
    const { value } = await roundTrip(16, 16, 4).run(new NDArray('f32', [16, 16], Float32Array.from(x.to1DArray())));
    // a scale of 100 would round everything in its row or column to zero
    for (let i = 0; i < 16; i++)
      for (let j = 0; j < 16; j++)
        if (i !== 3 || j !== 5) expect(Math.abs(toMatrix(value).get(i, j) - x.get(i, j))).toBeLessThanOrEqual(0.01 / 14 + 1e-7);
    expect(toMatrix(value).get(3, 5)).toBeCloseTo(100, 4);
  });

  it.each([4, 8] as const)('starts at zero at %i bits', async (bits) => {
    const read = compile((grid: Grid<Tensor>) => fromGrid(grid, [3, 5], bits), { backend: 'reference' });
    expect((await read.run(zeroGrid([3, 5], bits))).toNumbers().every((x) => Math.abs(x) === 0)).toBe(true);
  });
});

interface Kept {
  readonly residual: Grid<NDArray>;
  readonly left: Grid<NDArray>;
  readonly right: Grid<NDArray>;
}

describe('muon-4bit', () => {
  const method = optimizers['muon-4bit'] as OptimizerMethod;
  const [m, n] = [32, 48];
  const specs = { w: spec('matrix', [m, n]) };
  const k = 2;

  /** The moment that a run keeps, and the true one. */
  async function momentAfter(grads: readonly Matrix[], settings = {}) {
    const { state } = await runTransform(
      method.create({ ...method.defaults, ...settings }),
      specs,
      { w: randomArray([m, n], noise(1)) },
      grads.map((g) => ({ w: new NDArray('f32', [m, n], Float32Array.from(g.to1DArray())) })),
      grads.map(() => ({ learning_rate: 0, adamw_learning_rate: 0 })),
    );
    const kept = (state as unknown as { hidden: { 0: { w: Kept } } }).hidden[0].w;
    const bits = (settings as { residual_bits?: GridBits }).residual_bits ?? 4;
    const read = async (grid: Grid<NDArray>, shape: readonly [number, number], b: GridBits): Promise<Matrix> =>
      toMatrix(await compile((x: Grid<Tensor>) => fromGrid(x, shape, b), { backend: 'reference' }).run(grid));
    const [residual, left, right] = [
      await read(kept.residual, [m, n], bits),
      await read(kept.left, [m, k], 8),
      await read(kept.right, [n, k], 8),
    ];
    const mean = grads.reduce((mu, g) => Matrix.mul(mu, 0.95).add(Matrix.mul(g, 0.05)), Matrix.zeros(m, n));
    return { kept: Matrix.add(residual, left.mmul(right.transpose())), residual, left, right, mean };
  }
  const error = (a: Matrix, b: Matrix): number => Matrix.sub(a, b).norm('frobenius') / b.norm('frobenius');
  const next = noise(40);
  const drawn = (): Matrix => toMatrix(randomArray([m, n], next));

  it('keeps the momentum within a few percent at 4 bits, within half a percent at 8', async () => {
    // a strong direction that stays, and noise
    const strong = toMatrix(randomArray([m, 1], next)).mmul(toMatrix(randomArray([1, n], next)));
    const grads = Array.from({ length: 30 }, () => Matrix.add(Matrix.mul(strong, 3), drawn()));
    const four = await momentAfter(grads);
    const eight = await momentAfter(grads, { residual_bits: 8 });
    expect(error(four.kept, four.mean)).toBeLessThan(0.04);
    expect(error(eight.kept, eight.mean)).toBeLessThan(0.005);
    // the subspace holds the strong direction, the residual the rest
    expect(four.residual.norm('frobenius')).toBeLessThan(0.5 * four.mean.norm('frobenius'));
    expect(error(four.left.transpose().mmul(four.left), Matrix.eye(k, k))).toBeLessThan(0.02);
  });

  it('follows a momentum of small rank by its subspace alone', async () => {
    const low = toMatrix(randomArray([m, k], next)).mmul(toMatrix(randomArray([k, n], next)));
    const { kept, residual, mean } = await momentAfter(Array.from({ length: 5 }, () => low));
    expect(error(kept, mean)).toBeLessThan(0.02);
    expect(residual.norm('frobenius')).toBeLessThan(0.02 * mean.norm('frobenius'));
  });

  it('is stored in less than a fifth of the bytes of a float32 momentum', () => {
    const wide = { w: spec('matrix', [256, 512]) };
    // nibbles, scales of 2 x 4 blocks, and 16 columns at 8 bits on both sides with theirs
    const expected = 256 * 256 + 4 * (256 * 4 + 2 * 512) + 256 * 16 + 4 * (256 + 2 * 16) + 512 * 16 + 4 * (512 + 4 * 16);
    expect(stateBytes(method, wide) - stateBytes(method, {})).toBe(expected);
    expect(expected).toBeLessThan(0.2 * stateBytes(optimizers.muon as OptimizerMethod, wide));
  });

  it('refuses settings it cannot keep', () => {
    expect(() => method.create({ ...method.defaults, residual_bits: 3 })).toThrow(/4 or 8/);
    expect(() => method.create({ ...method.defaults, rank_ratio: 0 }).init(specs)).toThrow(/rank_ratio/);
  });
});
