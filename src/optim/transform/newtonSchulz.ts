import type { ParamSpec } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';

/** Coefficients of the quintic iteration, chosen by the authors for a steep slope at zero rather than for convergence to one. */
const [a, b, c] = [3.4445, -4.775, 2.0315];

/**
 * Approximate orthogonalisation of matrices [..., R, C] by Newton-Schulz: with G = U S V^T the result is about U V^T, singular values in [0.7, 1.2]
 * (small ones need more steps). X0 = G / (|G| + 1e-7);  X = a X + (b A + c A A) X with A = X X^T.
 * For R > C the equal form with A = X^T X on the right keeps A small.
 */
export function newtonSchulz(g: Tensor, steps: number): Tensor {
  const [rows, columns] = g.shape.slice(-2) as [number, number];
  let x = g.div(
    g
      .mul(g)
      .sum({ axis: [-2, -1], keepDims: true })
      .sqrt()
      .add(1e-7),
  );
  for (let i = 0; i < steps; i++) {
    const wide = rows <= columns;
    const gram = wide ? x.matmul(x, { transB: true }) : x.matmul(x, { transA: true });
    const polynomial = gram.matmul(gram, { alpha: c }).add(gram.mul(b));
    x = x.mul(a).add(wide ? polynomial.matmul(x) : x.matmul(polynomial));
  }
  return x;
}

/** The orthogonalised direction of a matrix [in, out] times sqrt(max(1, fan_out / fan_in)). */
export function orthogonalStep(direction: Tensor, { shape }: ParamSpec, steps: number): Tensor {
  const [fanIn, fanOut] = shape as [number, number];
  const scale = Math.sqrt(Math.max(1, fanOut / fanIn));
  const orthogonal = newtonSchulz(direction, steps);
  return scale === 1 ? orthogonal : orthogonal.mul(scale);
}

/** Newton-Schulz on one R x C matrix, r the smaller side and s the larger: 2 (r r s + r r r + r r s) operations a step. */
export function newtonSchulzFlops({ shape }: ParamSpec, steps: number): number {
  const [r, s] = [...(shape as readonly [number, number])].sort((x, y) => x - y) as [number, number];
  return steps * 2 * (2 * r * r * s + r * r * r);
}
