import type { ParamSpec } from '../../contracts/index.js';
import { initParams } from '../../nn/init.js';
import { type NDArray, zeros } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { eye } from '../../tensor/ops/create.js';
import { randomKey } from '../../tensor/random/threefry.js';
import { inverseSpd } from './graphLinalg.js';

/** A matrix [m, n] as left [m, r] times right [r, n]. */
export type Factors<T> = { readonly left: T; readonly right: T };

/** Share of the mean eigenvalue that is added to a Gram matrix before it is inverted. */
const ridge = 1e-6;

/** Rank of the factors of a matrix: the wanted one, at most the smaller side. */
export function rankOf({ shape }: ParamSpec, rank: number): number {
  if (!(Number.isInteger(rank) && rank >= 1)) throw new VitroError(`rank must be a whole number of at least 1, got ${rank}`);
  return Math.min(rank, ...shape);
}

/** Factors of the zero matrix: left zero, right normal with rows of length about 1, so that the first gradient has directions to meet. */
export function initFactors(spec: ParamSpec, rank: number): Factors<NDArray> {
  const [m, n] = spec.shape as [number, number];
  const r = rankOf(spec, rank);
  const right = initParams<ParamSpec>({ ...spec, shape: [r, n], init: { kind: 'normal', std: 1 / Math.sqrt(n) } }, randomKey(0));
  return { left: zeros([m, r]), right };
}

export const lowRankProduct = ({ left, right }: Factors<Tensor>): Tensor => left.matmul(right);

const invertedGram = (gram: Tensor): Tensor => {
  const r = gram.shape[0] as number;
  const identity = eye(r);
  const strength = gram
    .mul(identity)
    .sum()
    .mul(ridge / r)
    .add(1e-30);
  return inverseSpd(gram.add(identity.mul(strength)));
};

/**
 * One Newton step of each factor towards the least squares |left right - target|^2 with the other one fixed, mixed in at the rate gamma
 * (arXiv:2602.24283, theorem 3.1); both read the factors of the step before:
 *   left = (1 - gamma) left + gamma target right^T (right right^T)^-1,   right = (1 - gamma) right + gamma (left^T left)^-1 left^T target
 */
export function regressFactors(before: Factors<Tensor>, target: Tensor, gamma: number): Factors<Tensor> {
  const { left, right } = before;
  const byRight = target.matmul(right, { transB: true }).matmul(invertedGram(right.matmul(right, { transB: true })));
  const byLeft = invertedGram(left.matmul(left, { transA: true })).matmul(left.matmul(target, { transA: true }));
  return { left: left.mul(1 - gamma).add(byRight.mul(gamma)), right: right.mul(1 - gamma).add(byLeft.mul(gamma)) };
}

/** Operations of `regressFactors` and of one product of the factors. */
export function regressFlops(spec: ParamSpec, rank: number): number {
  const [m, n] = spec.shape as [number, number];
  const r = rankOf(spec, rank);
  return 2 * r * (3 * m * n + 2 * (m + n) * r + 2 * r * r);
}
