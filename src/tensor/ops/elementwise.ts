import type { DType } from '../dtype.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { customVjp } from './custom.js';
import { asFloat, asTensor, asTensors, type Operand } from './operand.js';

export const neg = (x: Operand): Tensor => apply('neg', [asTensor(x)], {});
export const exp = (x: Operand): Tensor => apply('exp', [asTensor(x)], {});
/** Natural logarithm. */
export const log = (x: Operand): Tensor => apply('log', [asTensor(x)], {});
export const sqrt = (x: Operand): Tensor => apply('sqrt', [asTensor(x)], {});
/** 1 / x */
export const recip = (x: Operand): Tensor => apply('recip', [asTensor(x)], {});
export const abs = (x: Operand): Tensor => apply('abs', [asTensor(x)], {});
/** -1, 0 or 1 */
export const sign = (x: Operand): Tensor => apply('sign', [asTensor(x)], {});
export const floor = (x: Operand): Tensor => apply('floor', [asTensor(x)], {});
export const ceil = (x: Operand): Tensor => apply('ceil', [asTensor(x)], {});
/** Nearest whole number, halves to even. */
export const round = (x: Operand): Tensor => apply('round', [asTensor(x)], {});
export const sin = (x: Operand): Tensor => apply('sin', [asTensor(x)], {});
export const cos = (x: Operand): Tensor => apply('cos', [asTensor(x)], {});
export const erf = (x: Operand): Tensor => apply('erf', [asTensor(x)], {});
/** Logical not of a bool tensor. */
export const not = (x: Operand): Tensor => apply('not', [asTensor(x)], {});
/** Identity whose gradient is zero. */
export const stopGradient = (x: Operand): Tensor => apply('stopGradient', [asTensor(x)], {});

/** Converts the dtype: float to integer truncates, to bool is x != 0. */
export function cast(x: Operand, dtype: DType): Tensor {
  const t = asTensor(x);
  return t.dtype === dtype ? t : apply('cast', [t], { dtype });
}

export const add = (a: Operand, b: Operand): Tensor => apply('add', asTensors(a, b), {});
export const sub = (a: Operand, b: Operand): Tensor => apply('sub', asTensors(a, b), {});
export const mul = (a: Operand, b: Operand): Tensor => apply('mul', asTensors(a, b), {});
/** a / b; integers truncate towards zero. */
export const div = (a: Operand, b: Operand): Tensor => apply('div', asTensors(a, b), {});
export const pow = (a: Operand, b: Operand): Tensor => apply('pow', asTensors(a, b), {});
/** Elementwise maximum; `max` is the reduction. */
export const maximum = (a: Operand, b: Operand): Tensor => apply('max', asTensors(a, b), {});
/** Elementwise minimum; `min` is the reduction. */
export const minimum = (a: Operand, b: Operand): Tensor => apply('min', asTensors(a, b), {});
/** Remainder with the sign of the divisor, as Python's %. */
export const mod = (a: Operand, b: Operand): Tensor => apply('mod', asTensors(a, b), {});
/** Logical and of bool tensors; `or` and `xor` alike. */
export const and = (a: Operand, b: Operand): Tensor => apply('and', asTensors(a, b), {});
export const or = (a: Operand, b: Operand): Tensor => apply('or', asTensors(a, b), {});
export const xor = (a: Operand, b: Operand): Tensor => apply('xor', asTensors(a, b), {});

/** Comparisons give bool tensors. */
export const eq = (a: Operand, b: Operand): Tensor => apply('eq', asTensors(a, b), {});
export const ne = (a: Operand, b: Operand): Tensor => not(eq(a, b));
export const lt = (a: Operand, b: Operand): Tensor => apply('lt', asTensors(a, b), {});
export const le = (a: Operand, b: Operand): Tensor => apply('le', asTensors(a, b), {});
export const gt = (a: Operand, b: Operand): Tensor => lt(b, a);
export const ge = (a: Operand, b: Operand): Tensor => le(b, a);

/** a where the bool condition holds, else b; all broadcast. */
export const where = (condition: Operand, a: Operand, b: Operand): Tensor => apply('where', [asTensor(condition), ...asTensors(a, b)], {});

export function square(x: Operand): Tensor {
  const t = asTensor(x);
  return mul(t, t);
}

/** 1 / sqrt(x) */
export const rsqrt = (x: Operand): Tensor => recip(sqrt(x));

/** x limited to [low, high]; either bound may be undefined. */
export function clip(x: Operand, low?: Operand, high?: Operand): Tensor {
  if (typeof low === 'number' && typeof high === 'number' && low > high)
    throw new OpError('clip', `the lower bound ${low} exceeds the upper bound ${high}`);
  const raised = low === undefined ? asTensor(x) : maximum(x, low);
  return high === undefined ? raised : minimum(raised, high);
}

/** exp(x) - 1, accurate near 0: tanh(x/2) (exp(x) + 1). */
export function expm1(x: Operand): Tensor {
  const t = asFloat('expm1', x);
  return mul(apply('tanh', [mul(t, 0.5)], {}), add(exp(t), 1));
}

/** log(1 + x), accurate near 0 (Kahan's correction of the rounding in 1 + x). */
export function log1p(x: Operand): Tensor {
  return customVjp(
    (t) => {
      const u = add(t, 1);
      const delta = sub(u, 1);
      const lost = eq(delta, 0);
      const corrected = where(lost, t, mul(log(u), div(t, where(lost, 1, delta))));
      return { out: where(lt(abs(t), 0.5), corrected, log(u)), saved: [u] };
    },
    ([g], [u]) => [div(g as Tensor, u as Tensor)],
  )(asFloat('log1p', x));
}

/** True where x is not a number. */
export const isNan = (x: Operand): Tensor => {
  const t = asTensor(x);
  return ne(t, t);
};

/** True where x is neither infinite nor NaN. */
export const isFiniteValue = (x: Operand): Tensor => lt(abs(x), Number.POSITIVE_INFINITY);
