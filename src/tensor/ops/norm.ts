import { OpError } from '../errors.js';
import { makeNode, type Tensor } from '../graph.js';
import { ones, zeros } from './create.js';
import { maximum, mul, rsqrt, square } from './elementwise.js';
import { asFloat, dimOf, type Operand } from './operand.js';
import { sum } from './reduce.js';

export interface NormOptions {
  /** added to the mean square under the root; default 1e-5 */
  readonly eps?: number;
}

function features(op: string, x: Tensor): ReturnType<typeof dimOf> {
  if (x.rank === 0) throw new OpError(op, 'x must be [..., D], got a scalar');
  return dimOf(x, -1);
}

/** x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich 2019, arXiv:1910.07467); weight [D], default ones. */
export function rmsNorm(value: Operand, weight?: Operand, { eps = 1e-5 }: NormOptions = {}): Tensor {
  const x = asFloat('rmsNorm', value);
  return makeNode('rmsNorm', [x, asFloat('rmsNorm', weight ?? ones([features('rmsNorm', x)]))], { eps }).out();
}

/** (x - mean) / sqrt(variance + eps) * weight + bias over the last axis; weight [D], default ones; bias [D], default zeros. */
export function layerNorm(value: Operand, weight?: Operand, bias?: Operand, { eps = 1e-5 }: NormOptions = {}): Tensor {
  const x = asFloat('layerNorm', value);
  const size = features('layerNorm', x);
  return makeNode('layerNorm', [x, asFloat('layerNorm', weight ?? ones([size])), asFloat('layerNorm', bias ?? zeros([size]))], {
    eps,
  }).out();
}

/** x / max(|x|, eps) with the Euclidean norm along an axis (default: the last). */
export function l2Normalize(value: Operand, { axis = -1, eps = 1e-12 }: { readonly axis?: number; readonly eps?: number } = {}): Tensor {
  const x = asFloat('l2Normalize', value);
  return mul(x, rsqrt(maximum(sum(square(x), { axis, keepDims: true }), eps * eps)));
}
