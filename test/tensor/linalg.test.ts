import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array } from '../../src/tensor/array.js';
import {
  cholesky,
  type HostMatrix,
  inverse,
  leastSquares,
  matrixToArray,
  qr,
  solve,
  svd,
  symmetricEigen,
} from '../../src/tensor/linalg.js';
import { threefryBits } from '../../src/tensor/random/threefry.js';

const sample = (rows: number, columns: number, seed = 0): HostMatrix => ({
  shape: [rows, columns],
  data: Float64Array.from(threefryBits([seed, rows], rows * columns), (b) => b / 2 ** 31 - 1),
});

function multiply(a: HostMatrix, b: HostMatrix): HostMatrix {
  const [m, k, n] = [a.shape[0], a.shape[1], b.shape[1]];
  expect(b.shape[0]).toBe(k);
  const data = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++)
      for (let l = 0; l < k; l++)
        data[i * n + j] = (data[i * n + j] as number) + (a.data[i * k + l] as number) * (b.data[l * n + j] as number);
  return { shape: [m, n], data };
}

function transposed({ shape: [m, n], data }: HostMatrix): HostMatrix {
  return { shape: [n, m], data: Float64Array.from({ length: m * n }, (_, i) => data[(i % m) * n + Math.floor(i / m)] as number) };
}

const diagonal = (s: Float64Array): HostMatrix => ({
  shape: [s.length, s.length],
  data: Float64Array.from({ length: s.length ** 2 }, (_, i) => (i % (s.length + 1) === 0 ? (s[i / (s.length + 1)] as number) : 0)),
});

const identity = (n: number): HostMatrix => diagonal(new Float64Array(n).fill(1));

function expectMatrix(actual: HostMatrix, expected: HostMatrix, digits = 9): void {
  expect(actual.shape).toEqual(expected.shape);
  const worst = expected.data.reduce((top, x, i) => Math.max(top, Math.abs(x - (actual.data[i] as number))), 0);
  expect(worst).toBeLessThan(10 ** -digits);
}

const expectOrthonormal = (q: HostMatrix): void => expectMatrix(multiply(transposed(q), q), identity(q.shape[1]));

const size = fc.integer({ min: 1, max: 8 });

/** Any shape; the rank is cut to at most `rank`, often below full. */
const matrices = fc.tuple(size, size, fc.integer({ min: 0, max: 8 }), fc.nat()).map(([m, n, rank, seed]) => {
  if (rank === 0) return { shape: [m, n], data: new Float64Array(m * n) } as HostMatrix;
  return multiply(sample(m, rank, seed), sample(rank, n, seed + 1));
});

describe('svd', () => {
  it('rebuilds any matrix from orthonormal factors and descending singular values', () => {
    fc.assert(
      fc.property(matrices, (a) => {
        const { u, s, v } = svd(a);
        expect(s.length).toBe(Math.min(...a.shape));
        expectMatrix(multiply(multiply(u, diagonal(s)), transposed(v)), a);
        expectOrthonormal(u);
        expectOrthonormal(v);
        s.forEach((x, i) => {
          expect(x).toBeLessThanOrEqual(i === 0 ? Number.POSITIVE_INFINITY : (s[i - 1] as number));
          expect(x).toBeGreaterThanOrEqual(0);
        });
      }),
    );
  });

  it('gives known singular values', () => {
    expect([
      ...svd([
        [3, 0],
        [4, 5],
      ]).s,
    ]).toEqual([Math.sqrt(45), Math.sqrt(5)].map((x) => expect.closeTo(x, 12)));
    expect([
      ...svd(
        array([
          [0, 0],
          [0, 0],
          [0, 0],
        ]),
      ).s,
    ]).toEqual([0, 0]);
  });
});

describe('symmetricEigen', () => {
  it('diagonalises, with ascending eigenvalues', () => {
    fc.assert(
      fc.property(size, fc.nat(), (n, seed) => {
        const g = sample(n, n, seed);
        const a: HostMatrix = { shape: g.shape, data: g.data.map((x, i) => x + (transposed(g).data[i] as number)) };
        const { values, vectors } = symmetricEigen(a);
        expectOrthonormal(vectors);
        expectMatrix(multiply(multiply(vectors, diagonal(values)), transposed(vectors)), a);
        expect([...values]).toEqual([...values].sort((x, y) => x - y));
      }),
    );
  });

  it('handles repeated and zero eigenvalues', () => {
    expect([...symmetricEigen(identity(4)).values]).toEqual([1, 1, 1, 1]);
    const ones = symmetricEigen([
      [1, 1, 1],
      [1, 1, 1],
      [1, 1, 1],
    ]);
    expect([...ones.values]).toEqual([0, 0, 3].map((x) => expect.closeTo(x, 12)));
    expectOrthonormal(ones.vectors);
  });
});

describe('qr', () => {
  it('rebuilds tall, square, wide and rank-deficient matrices', () => {
    fc.assert(
      fc.property(matrices, (a) => {
        const { q, r } = qr(a);
        expect(q.shape).toEqual([a.shape[0], Math.min(...a.shape)]);
        expectMatrix(multiply(q, r), a);
        expectOrthonormal(q);
        for (let i = 0; i < r.shape[0]; i++)
          for (let j = 0; j < Math.min(i, r.shape[1]); j++) expect(Math.abs(r.data[i * r.shape[1] + j] as number)).toBeLessThan(1e-12);
      }),
    );
  });
});

describe('cholesky', () => {
  it('rebuilds a positive definite matrix from a lower triangle', () => {
    fc.assert(
      fc.property(size, fc.nat(), (n, seed) => {
        const g = sample(n, n + 2, seed);
        const gram = multiply(g, transposed(g));
        const a: HostMatrix = { shape: gram.shape, data: gram.data.map((x, i) => x + (i % (n + 1) === 0 ? 0.1 : 0)) };
        const l = cholesky(a);
        expectMatrix(multiply(l, transposed(l)), a);
        l.data.forEach((x, i) => {
          if (i % n > Math.floor(i / n)) expect(x).toBe(0);
        });
      }),
    );
  });

  it('names the pivot that is not positive', () => {
    expect(() =>
      cholesky([
        [1, 2],
        [2, 1],
      ]),
    ).toThrow(/not positive definite \(pivot 1 is -3\)/);
    expect(() =>
      cholesky([
        [0, 0],
        [0, 0],
      ]),
    ).toThrow(/not positive definite/);
  });
});

describe('leastSquares, solve and inverse', () => {
  it('the residual is orthogonal to the columns, and the solution to the null space', () => {
    fc.assert(
      fc.property(matrices, fc.nat(), (a, seed) => {
        const b = sample(a.shape[0], 2, seed);
        const { x, rank } = leastSquares(a, b, { tolerance: 1e-9 });
        const residual: HostMatrix = { shape: b.shape, data: multiply(a, x).data.map((y, i) => y - (b.data[i] as number)) };
        expectMatrix(multiply(transposed(a), residual), { shape: [a.shape[1], 2], data: new Float64Array(2 * a.shape[1]) }, 6);
        // the least-norm solution lies in the span of the rows: another projection onto them changes nothing
        const { s, v } = svd(a);
        const kept: HostMatrix = {
          shape: [v.shape[0], v.shape[1]],
          data: v.data.map((y, i) => ((s[i % v.shape[1]] as number) > 1e-9 * (s[0] as number) ? y : 0)),
        };
        const scale = Math.max(1, ...x.data.map(Math.abs));
        const projected = multiply(kept, multiply(transposed(kept), x));
        expectMatrix({ ...projected, data: projected.data.map((y) => y / scale) }, { ...x, data: x.data.map((y) => y / scale) }, 6);
        expect(rank).toBe(s.filter((y) => y > 1e-9 * (s[0] as number)).length);
      }),
    );
  });

  it('solve and inverse undo a product', () => {
    fc.assert(
      fc.property(size, fc.nat(), (n, seed) => {
        const g = sample(n, n, seed);
        const a: HostMatrix = { shape: g.shape, data: g.data.map((x, i) => x + (i % (n + 1) === 0 ? n + 1 : 0)) };
        const x = sample(n, 3, seed + 1);
        expectMatrix(solve(a, multiply(a, x)), x);
        expectMatrix(multiply(inverse(a), a), identity(n));
      }),
    );
  });

  it('fits a line', () => {
    const { x, rank } = leastSquares(
      [
        [1, 0],
        [1, 1],
        [1, 2],
        [1, 3],
      ],
      [1, 3, 5, 7],
    );
    expect([...x.data, rank]).toEqual([1, 2, 2].map((v) => expect.closeTo(v, 12)));
  });
});

describe('errors and conversions', () => {
  it.each([
    ['NaN', () => svd([[1, Number.NaN]]), /\[0, 1\] is NaN/],
    [
      'infinity',
      () =>
        qr([
          [1, 2],
          [Number.POSITIVE_INFINITY, 2],
        ]),
      /\[1, 0\] is Infinity/,
    ],
    ['rank 3', () => svd(array([[[1]]])), /needs a matrix, got shape \[1, 1, 1\]/],
    ['empty', () => svd([]), /empty/],
    ['ragged', () => svd([[1, 2], [3]]), /different lengths/],
    ['not square', () => inverse([[1, 2]]), /square matrix, got \[1, 2\]/],
    [
      'not symmetric',
      () =>
        symmetricEigen([
          [1, 2],
          [3, 1],
        ]),
      /symmetric matrix, but \[0, 1\] is 2 and \[1, 0\] is 3/,
    ],
    [
      'singular',
      () =>
        solve(
          [
            [1, 2],
            [2, 4],
          ],
          [1, 2],
        ),
      /singular; use leastSquares/,
    ],
    [
      'zero',
      () =>
        inverse([
          [0, 0],
          [0, 0],
        ]),
      /singular/,
    ],
    ['rows', () => leastSquares([[1], [2]], [1, 2, 3]), /equally many rows/],
  ])('%s', (_, f, message) => {
    expect(f).toThrow(message);
  });

  it('takes float32 rounding as symmetric and gives NDArrays', () => {
    const nearly = array([
      [2, 1],
      [1 + 1e-6, 2],
    ]);
    expect([...symmetricEigen(nearly).values]).toEqual([1, 3].map((x) => expect.closeTo(x, 5)));
    const l = matrixToArray(
      cholesky(
        array([
          [4, 2],
          [2, 5],
        ]),
      ),
    );
    expect([l.dtype, l.toNested()]).toEqual([
      'f32',
      [
        [2, 0],
        [1, 2],
      ],
    ]);
  });
});
