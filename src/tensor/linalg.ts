/**
 * Dense linear algebra on the host in float64 (ml-matrix), for calibration, low-rank factorisation and analysis.
 * Meant for matrices up to about a thousand rows; not differentiable and not part of a compiled graph.
 */
import { EigenvalueDecomposition, LuDecomposition, Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';
import { encode, NDArray } from './array.js';
import { OpError } from './errors.js';

/** A row-major matrix. */
export interface HostMatrix {
  readonly shape: readonly [rows: number, columns: number];
  readonly data: Float64Array;
}

/** What the functions take: an NDArray of rank 2 (rank 1 is a column), rows of numbers, a column of numbers, or an earlier result. */
export type MatrixLike = HostMatrix | NDArray | readonly (readonly number[])[] | readonly number[];

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

function read(op: string, a: MatrixLike): HostMatrix {
  let shape: readonly number[];
  let data: Float64Array;
  if (a instanceof NDArray) {
    shape = a.shape.length === 1 ? [a.size, 1] : a.shape;
    data = Float64Array.from(a.toNumbers());
  } else if ('data' in a) {
    ({ shape, data } = a);
  } else {
    const rows = a.map((row: readonly number[] | number) => (typeof row === 'number' ? [row] : row));
    const columns = rows[0]?.length ?? 0;
    if (rows.some((row) => row.length !== columns)) throw new OpError(op, 'the rows of the matrix have different lengths');
    shape = [rows.length, columns];
    data = Float64Array.from(rows.flat());
  }
  const [m, n] = shape;
  if (shape.length !== 2 || m === undefined || n === undefined) throw new OpError(op, `needs a matrix, got shape ${shapeText(shape)}`);
  if (m === 0 || n === 0) throw new OpError(op, `the matrix ${shapeText(shape)} is empty`);
  const bad = data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new OpError(op, `the element [${Math.floor(bad / n)}, ${bad % n}] is ${data[bad]}; all must be finite`);
  return { shape: [m, n], data };
}

const toMl = ({ shape, data }: HostMatrix): Matrix => Matrix.from1DArray(shape[0], shape[1], data);

const fromMl = (m: Matrix): HostMatrix => ({ shape: [m.rows, m.columns], data: Float64Array.from(m.to1DArray()) });

function readSquare(op: string, a: MatrixLike): HostMatrix {
  const m = read(op, a);
  if (m.shape[0] !== m.shape[1]) throw new OpError(op, `needs a square matrix, got ${shapeText(m.shape)}`);
  return m;
}

/** Reads a matrix that is symmetric up to 1e-5 of its largest element (float32 rounding) and makes it exactly so. */
function readSymmetric(op: string, a: MatrixLike): HostMatrix {
  const { shape, data } = readSquare(op, a);
  const n = shape[0];
  const largest = data.reduce((top, x) => Math.max(top, Math.abs(x)), 0);
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const [x, y] = [data[i * n + j] as number, data[j * n + i] as number];
      if (Math.abs(x - y) > 1e-5 * largest)
        throw new OpError(op, `needs a symmetric matrix, but [${i}, ${j}] is ${x} and [${j}, ${i}] is ${y}; pass (A + A^T) / 2`);
      out[i * n + j] = (x + y) / 2;
    }
  return { shape, data: out };
}

/** An NDArray of a result, f32 unless told otherwise. */
export const matrixToArray = (m: HostMatrix, dtype: 'f32' | 'f16' | 'bf16' = 'f32'): NDArray =>
  new NDArray(dtype, m.shape, encode(dtype, m.data));

/** Thin singular value decomposition A = U diag(s) V^T with r = min(m, n): U [m, r], s [r] descending, V [n, r]; U and V have orthonormal columns. */
export function svd(a: MatrixLike): { u: HostMatrix; s: Float64Array; v: HostMatrix } {
  const d = new SingularValueDecomposition(toMl(read('svd', a)), { autoTranspose: true });
  return { u: fromMl(d.leftSingularVectors), s: Float64Array.from(d.diagonal), v: fromMl(d.rightSingularVectors) };
}

/** Eigenvalues (ascending) and orthonormal eigenvectors (columns) of a symmetric matrix. */
export function symmetricEigen(a: MatrixLike): { values: Float64Array; vectors: HostMatrix } {
  const d = new EigenvalueDecomposition(toMl(readSymmetric('symmetricEigen', a)), { assumeSymmetric: true });
  const order = d.realEigenvalues.map((_, i) => i).sort((i, j) => (d.realEigenvalues[i] as number) - (d.realEigenvalues[j] as number));
  return {
    values: Float64Array.from(order, (i) => d.realEigenvalues[i] as number),
    vectors: fromMl(d.eigenvectorMatrix.subMatrixColumn(order)),
  };
}

/** Thin QR decomposition A = Q R with r = min(m, n): Q [m, r] with orthonormal columns, R [r, n] upper triangular (signs as Householder's method gives them). */
export function qr(a: MatrixLike): { q: HostMatrix; r: HostMatrix } {
  const m = toMl(read('qr', a));
  const square = m.subMatrix(0, m.rows - 1, 0, Math.min(m.rows, m.columns) - 1);
  const d = new QrDecomposition(square);
  const q = d.orthogonalMatrix;
  if (m.columns <= m.rows) return { q: fromMl(q), r: fromMl(d.upperTriangularMatrix) };
  const rest = q.transpose().mmul(m.subMatrix(0, m.rows - 1, m.rows, m.columns - 1));
  const full = Matrix.zeros(m.rows, m.columns);
  full.setSubMatrix(d.upperTriangularMatrix, 0, 0);
  full.setSubMatrix(rest, 0, m.rows);
  return { q: fromMl(q), r: fromMl(full) };
}

/** Lower triangular L with A = L L^T of a symmetric positive definite matrix. */
export function cholesky(a: MatrixLike): HostMatrix {
  const { shape, data } = readSymmetric('cholesky', a);
  const n = shape[0];
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let rest = data[i * n + j] as number;
      for (let k = 0; k < j; k++) rest -= (out[i * n + k] as number) * (out[j * n + k] as number);
      if (i === j && !(rest > 0))
        throw new OpError('cholesky', `the matrix is not positive definite (pivot ${i} is ${rest}); add a multiple of the identity`);
      out[i * n + j] = i === j ? Math.sqrt(rest) : rest / (out[j * n + j] as number);
    }
  return { shape, data: out };
}

function readRightSide(op: string, b: MatrixLike, a: HostMatrix): HostMatrix {
  const rhs = read(op, b);
  if (rhs.shape[0] !== a.shape[0])
    throw new OpError(op, `A ${shapeText(a.shape)} and the right side ${shapeText(rhs.shape)} need equally many rows`);
  return rhs;
}

/**
 * Least squares: the X [n, k] of smallest norm that minimises |A X - B|, for A [m, n] of any rank and B [m, k].
 * Singular values up to `tolerance` (default: max(m, n) times the float64 epsilon) times the largest count as zero; `rank` is the number of the others.
 */
export function leastSquares(a: MatrixLike, b: MatrixLike, options: { readonly tolerance?: number } = {}): { x: HostMatrix; rank: number } {
  const left = read('leastSquares', a);
  const right = readRightSide('leastSquares', b, left);
  const { u, s, v } = svd(left);
  const cut = (options.tolerance ?? Math.max(...left.shape) * Number.EPSILON) * (s[0] as number);
  const rank = s.filter((x) => x > cut).length;
  const coefficients = toMl(u).transpose().mmul(toMl(right));
  s.forEach((x, i) => {
    coefficients.mulRow(i, x > cut ? 1 / x : 0);
  });
  return { x: fromMl(toMl(v).mmul(coefficients)), rank };
}

/** X [n, k] with A X = B for a regular A [n, n] and B [n, k] (LU with partial pivoting). */
export function solve(a: MatrixLike, b: MatrixLike): HostMatrix {
  const left = readSquare('solve', a);
  const right = readRightSide('solve', b, left);
  const lu = new LuDecomposition(toMl(left));
  const pivots = lu.upperTriangularMatrix.diagonal().map(Math.abs);
  if (Math.min(...pivots) <= pivots.length * Number.EPSILON * Math.max(...pivots))
    throw new OpError('solve', `the matrix ${shapeText(left.shape)} is singular; use leastSquares`);
  return fromMl(lu.solve(toMl(right)));
}

/** Inverse of a regular matrix. Prefer solve(a, b) where the inverse is only multiplied. */
export function inverse(a: MatrixLike): HostMatrix {
  const m = readSquare('inverse', a);
  return solve(m, fromMl(Matrix.eye(m.shape[0])));
}
