/** An exact fraction in lowest terms; the denominator is positive. */
export interface Rational {
  readonly n: bigint;
  readonly d: bigint;
}

function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b];
  while (y) [x, y] = [y, x % y];
  return x;
}

/** n/d in lowest terms; null for d = 0. */
export function rational(n: bigint, d = 1n): Rational | null {
  if (d === 0n) return null;
  const common = gcd(n, d) * (d < 0n ? -1n : 1n);
  return common === 1n ? { n, d } : { n: n / common, d: d / common };
}

const whole = (n: bigint): Rational => ({ n, d: 1n });

export const add = (a: Rational, b: Rational): Rational => rational(a.n * b.d + b.n * a.d, a.d * b.d) ?? whole(0n);
export const negate = (a: Rational): Rational => ({ n: -a.n, d: a.d });
export const subtract = (a: Rational, b: Rational): Rational => add(a, negate(b));
export const multiply = (a: Rational, b: Rational): Rational => rational(a.n * b.n, a.d * b.d) ?? whole(0n);
/** null where b is zero */
export const divide = (a: Rational, b: Rational): Rational | null => rational(a.n * b.d, a.d * b.n);
export const equal = (a: Rational, b: Rational): boolean => a.n === b.n && a.d === b.d;

/** hexadecimal digits of numerator and denominator together: what arithmetic with the fraction costs */
export const sizeOf = (a: Rational): number => a.n.toString(16).length + a.d.toString(16).length;

/** The nearest double, also where numerator and denominator are beyond the doubles' range. */
export function toNumber(a: Rational): number {
  const direct = Number(a.n) / Number(a.d);
  if (Number.isFinite(direct) && direct !== 0) return direct;
  if (a.n === 0n) return 0;
  // scale to 64 bits of quotient, then put the exponent back, in two parts that do not underflow
  const shift = a.n.toString(2).length - a.d.toString(2).length - 64;
  const quotient = shift > 0 ? a.n / (a.d << BigInt(shift)) : (a.n << BigInt(-shift)) / a.d;
  const half = Math.trunc(shift / 2);
  return Number(quotient) * 2 ** half * 2 ** (shift - half);
}
