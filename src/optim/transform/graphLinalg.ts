import type { Tensor } from '../../tensor/graph.js';
import { scan } from '../../tensor/ops/control.js';
import { eye, zeros } from '../../tensor/ops/create.js';

/** Below this a length counts as zero. */
const tiny = 1e-30;

/**
 * An orthonormal basis [m, k] of the columns of y [m, k] (k at most m), by classical Gram-Schmidt done twice for each column, which is enough for
 * orthogonality to rounding (Giraud et al. 2005). A column that depends on those before it gives rounding noise or zeros.
 */
export function orthonormalColumns(y: Tensor): Tensor {
  const [m, k] = y.shape as [number, number];
  const without = (basis: Tensor, v: Tensor): Tensor => v.sub(v.matmul(basis, { transB: true }).matmul(basis));
  const { carry } = scan(
    (basis: Tensor, { column, place }: { column: Tensor; place: Tensor }) => {
      const row = column.reshape([1, m]);
      const rest = without(basis, without(basis, row));
      const unit = rest.div(rest.mul(rest).sum().sqrt().maximum(tiny));
      return [basis.add(place.reshape([k, 1]).mul(unit)), {}];
    },
    { init: zeros([k, m]), xs: { column: y.transpose([1, 0]), place: eye(k) } },
  );
  return carry.transpose([1, 0]);
}

/**
 * Inverse of a symmetric positive definite matrix [r, r] by Gauss-Jordan elimination in place, without pivoting. Step p with column c, row b and
 * pivot d of the current matrix is the rank-one change A - (c - e_p)(b + e_p)^T / d.
 */
export function inverseSpd(a: Tensor): Tensor {
  const r = a.shape[0] as number;
  return scan(
    (current: Tensor, place: Tensor) => {
      const column = current.matmul(place.reshape([r, 1]));
      const row = place.reshape([1, r]).matmul(current);
      const pivot = row.mul(place).sum();
      return [
        current.sub(
          column
            .sub(place.reshape([r, 1]))
            .matmul(row.add(place))
            .div(pivot),
        ),
        {},
      ];
    },
    { init: a, xs: eye(r) },
  ).carry;
}
