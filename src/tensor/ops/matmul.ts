import { shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { reshape, unsqueeze } from './movement.js';
import { asTensors, type Operand } from './operand.js';

export interface MatmulOptions {
  /** a is stored transposed, [..., K, M] */
  readonly transA?: boolean;
  /** b is stored transposed, [..., N, K] */
  readonly transB?: boolean;
  /** factor of the product (default 1) */
  readonly alpha?: number;
}

/**
 * Matrix product a [..., M, K] times b [..., K, N]; leading axes broadcast. As in NumPy, a vector a [K] counts as a row and a
 * vector b [K] as a column, and the added axis is dropped from the result.
 */
export function matmul(a: Operand, b: Operand, options: MatmulOptions = {}): Tensor {
  const [x, y] = asTensors(a, b) as [Tensor, Tensor];
  if (x.rank === 0 || y.rank === 0)
    throw new OpError('matmul', `operands need rank 1 or more, got ${shapeStr(x.shape)} and ${shapeStr(y.shape)}; use mul for scalars`);
  const { transA = false, transB = false, alpha = 1 } = options;
  const [row, column] = [x.rank === 1, y.rank === 1];
  const product = apply('matmul', [row ? unsqueeze(x, 0) : x, column ? unsqueeze(y, 1) : y], {
    transA: transA && !row,
    transB: transB && !column,
    alpha,
  });
  if (!row && !column) return product;
  const drop = new Set([...(row ? [product.rank - 2] : []), ...(column ? [product.rank - 1] : [])]);
  return reshape(
    product,
    product.shape.filter((_, i) => !drop.has(i)),
  );
}
