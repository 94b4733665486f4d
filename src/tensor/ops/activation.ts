import { apply, type Tensor } from '../graph.js';
import { customVjp } from './custom.js';
import { abs, add, cast, exp, log1p, lt, maximum, minimum, mul, neg } from './elementwise.js';
import { asFloat, asTensor, type Operand, resolveAxis } from './operand.js';

export const tanh = (x: Operand): Tensor => apply('tanh', [asTensor(x)], {});
/** 1 / (1 + exp(-x)) */
export const sigmoid = (x: Operand): Tensor => apply('sigmoid', [asTensor(x)], {});
/** x sigmoid(x) */
export const silu = (x: Operand): Tensor => apply('silu', [asTensor(x)], {});

/** x Phi(x) with the normal distribution function Phi; `approximate: 'tanh'` is the usual approximation. */
export const gelu = (x: Operand, options: { readonly approximate?: 'none' | 'tanh' } = {}): Tensor =>
  apply('gelu', [asTensor(x)], { approximate: options.approximate ?? 'none' });

/** max(x, 0); its gradient at 0 is 0, as PyTorch's. */
export const relu: (x: Operand) => Tensor = customVjp(
  (x) => ({ out: maximum(x, 0), saved: [x] }),
  ([g], [x]) => [g && x ? mul(g, cast(lt(0, x), 'f32')) : null],
);

/** x where positive, else slope x. */
export function leakyRelu(x: Operand, slope = 0.01): Tensor {
  const t = asFloat('leakyRelu', x);
  return add(maximum(t, 0), mul(minimum(t, 0), slope));
}

/** log(1 + exp(x)) without overflow and accurate in the tails. */
export function softplus(x: Operand): Tensor {
  const t = asFloat('softplus', x);
  return add(maximum(t, 0), log1p(exp(neg(abs(t)))));
}

/** log(sigmoid(x)) = -softplus(-x) */
export const logSigmoid = (x: Operand): Tensor => neg(softplus(neg(x)));

/** exp(x) / sum(exp(x)) along an axis (default: the last). */
export function softmax(value: Operand, axis = -1): Tensor {
  const x = asTensor(value);
  return apply('softmax', [x], { axis: resolveAxis('softmax', axis, x.shape) });
}

/** log(softmax(x)) along an axis (default: the last). */
export function logSoftmax(value: Operand, axis = -1): Tensor {
  const x = asTensor(value);
  return apply('logSoftmax', [x], { axis: resolveAxis('logSoftmax', axis, x.shape) });
}
