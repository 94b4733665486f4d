import { add, divide, equal, multiply, negate, type Rational, rational, sizeOf, toNumber } from './rational.js';
import { maxExponent, type Token } from './tokens.js';

/** A number that a text states. */
export interface MathNumber {
  /** null for irrational values, which are kept to double precision */
  readonly exact: Rational | null;
  readonly approx: number;
  /** digits after the point of a plain decimal; 0 for whatever else */
  readonly decimals: number;
}

/** fractions of more hexadecimal digits are not followed */
const maxSize = 2000;
const maxDepth = 40;

const exactly = (value: Rational | null, decimals = 0): MathNumber | null =>
  value && sizeOf(value) <= maxSize ? { exact: value, approx: toNumber(value), decimals } : null;

const roughly = (approx: number): MathNumber | null => (Number.isFinite(approx) ? { exact: null, approx, decimals: 0 } : null);

function combine(
  a: MathNumber | null,
  b: MathNumber | null,
  exact: (x: Rational, y: Rational) => Rational | null,
  rough: (x: number, y: number) => number,
): MathNumber | null {
  if (!a || !b) return null;
  return a.exact && b.exact ? exactly(exact(a.exact, b.exact)) : roughly(rough(a.approx, b.approx));
}

function integerRoot(n: bigint): bigint | null {
  if (n < 0n) return null;
  let root = BigInt(Math.floor(Math.sqrt(Number(n))));
  if (n > 2n ** 100n) return null;
  while (root * root > n) root--;
  while ((root + 1n) * (root + 1n) <= n) root++;
  return root * root === n ? root : null;
}

function squareRoot(x: MathNumber | null): MathNumber | null {
  if (!x) return null;
  const [n, d] = x.exact ? [integerRoot(x.exact.n), integerRoot(x.exact.d)] : [null, null];
  return n !== null && d !== null ? exactly(rational(n, d)) : roughly(Math.sqrt(x.approx));
}

function power(base: MathNumber | null, exponent: MathNumber | null): MathNumber | null {
  if (!base || !exponent) return null;
  const e = exponent.exact;
  if (!base.exact || e?.d !== 1n) return roughly(base.approx ** exponent.approx);
  const times = e.n < 0n ? -e.n : e.n;
  if (times > BigInt(maxExponent) || sizeOf(base.exact) * Number(times) > maxSize) return null;
  const { n, d } = base.exact;
  return e.n < 0n ? exactly(rational(d ** times, n ** times)) : exactly(rational(n ** times, d ** times));
}

/**
 * Reads one number or variable-free expression from the front of the tokens: + - * / ^, parentheses, \frac, \sqrt, \pi, mixed numbers, products without a
 * sign. Null where the tokens do not begin with one or the limits are passed. What stands behind it is left to the caller.
 */
export function readValue(tokens: readonly Token[]): { readonly value: MathNumber; readonly next: number } | null {
  let at = 0;
  let depth = 0;
  const sign = (text: string, offset = 0): boolean => {
    const token = tokens[at + offset];
    return token?.kind === 'sign' && token.text === text;
  };

  function sum(): MathNumber | null {
    let left = product();
    while (left && (sign('+') || sign('-'))) {
      const minus = sign('-');
      at++;
      const right = product();
      left = combine(
        left,
        right,
        (x, y) => add(x, minus ? negate(y) : y),
        (x, y) => (minus ? x - y : x + y),
      );
    }
    return left;
  }
  function product(): MathNumber | null {
    let left = unary();
    while (left) {
      if (sign('*') || sign('/') || timesLetter()) {
        const over = sign('/');
        at++;
        const right = unary();
        left = combine(left, right, over ? divide : multiply, over ? (x, y) => x / y : (x, y) => x * y);
      } else if (startsFactor()) left = combine(left, unary(), multiply, (x, y) => x * y);
      else break;
    }
    return left;
  }
  /** 1.5 x 10^3 */
  function timesLetter(): boolean {
    const [token, next] = [tokens[at], tokens[at + 1]];
    return token?.kind === 'word' && token.text === 'x' && next?.kind === 'number';
  }
  /** whether what follows is multiplied without a sign */
  function startsFactor(): boolean {
    const token = tokens[at];
    return token?.kind === 'command' ? ['frac', 'sqrt', 'pi'].includes(token.text) : sign('(');
  }
  function unary(): MathNumber | null {
    let minus = false;
    while (sign('-') || sign('+')) {
      if (sign('-')) minus = !minus;
      at++;
    }
    const value = raised();
    if (!value || !minus) return value;
    return value.exact ? exactly(negate(value.exact), value.decimals) : roughly(-value.approx);
  }
  function raised(): MathNumber | null {
    const base = atom();
    if (!base || !sign('^') || degreeFollows()) return base;
    at++;
    return power(base, sign('-') || sign('+') ? unary() : argument());
  }
  /** ^\circ and ^{\circ} are a unit */
  function degreeFollows(): boolean {
    const token = tokens[at + (sign('{', 1) ? 2 : 1)];
    return token?.kind === 'command' && token.text === 'circ';
  }
  function group(close: string): MathNumber | null {
    if (++depth > maxDepth) return null;
    at++;
    const inner = sum();
    depth--;
    if (!sign(close)) return null;
    at++;
    return inner;
  }
  /** a group in braces, one command, or, of a number written without braces as in \frac12, one digit */
  function argument(): MathNumber | null {
    if (sign('{')) return group('}');
    return atom();
  }
  function atom(): MathNumber | null {
    const token = tokens[at];
    if (token?.kind === 'number') {
      at++;
      return mixed(exactly(token.value, token.decimals), token.decimals);
    }
    if (sign('(')) return group(')');
    if (sign('{')) return group('}');
    if (token?.kind !== 'command') return null;
    at++;
    if (token.text === 'pi') return roughly(Math.PI);
    if (token.text === 'sqrt') return squareRoot(argument());
    return token.text === 'frac' ? fraction() : null;
  }
  function fraction(): MathNumber | null {
    if (++depth > maxDepth) return null;
    const [above, below] = bareDigits() ?? [argument(), argument()];
    depth--;
    return combine(above, below, divide, (x, y) => x / y);
  }
  /** \frac12 and \frac1{72}: the first digit is the numerator */
  function bareDigits(): [MathNumber | null, MathNumber | null] | null {
    const token = tokens[at];
    if (token?.kind !== 'number' || token.decimals > 0 || token.value.d !== 1n) return null;
    const digits = token.value.n.toString();
    at++;
    const above = exactly(rational(BigInt(digits[0] as string)));
    return [above, digits.length > 1 ? exactly(rational(BigInt(digits.slice(1)))) : argument()];
  }
  /** 1 1/2 and 1\frac12: an integer and a proper fraction behind it */
  function mixed(whole: MathNumber | null, decimals: number): MathNumber | null {
    if (!whole || decimals > 0 || whole.exact?.d !== 1n) return whole;
    const start = at;
    const token = tokens[at];
    let part: MathNumber | null = null;
    if (token?.kind === 'command' && token.text === 'frac') {
      at++;
      part = fraction();
    } else if (token?.kind === 'number' && token.spaced && sign('/', 1) && tokens[at + 2]?.kind === 'number') {
      at++;
      const above = token;
      at++;
      const below = tokens[at++];
      part = below?.kind === 'number' ? exactly(divide(above.value, below.value)) : null;
    }
    if (part?.exact && part.approx > 0 && part.approx < 1) return combine(whole, part, add, (x, y) => x + y);
    at = start;
    return whole;
  }
  const value = sum();
  return value && { value, next: at };
}

/** decimals of at least this many digits may be rounded values */
const roundedDecimals = 4;

/**
 * Equal values: fractions and decimals exactly; a decimal of 4 digits or more also agrees with what it is the rounding of, unless that is a decimal too;
 * irrational values agree to 9 digits.
 */
export function sameNumber(a: MathNumber, b: MathNumber): boolean {
  if (a.exact && b.exact && equal(a.exact, b.exact)) return true;
  const difference = Math.abs(a.approx - b.approx);
  const rounds = (x: MathNumber, y: MathNumber): boolean =>
    x.decimals >= roundedDecimals && y.decimals === 0 && difference <= 0.5 * 10 ** -x.decimals * (1 + 1e-6);
  if (rounds(a, b) || rounds(b, a)) return true;
  return !(a.exact && b.exact) && difference <= 1e-9 * Math.max(Math.abs(a.approx), Math.abs(b.approx));
}

/** The value times an exact factor. */
export const scaled = (a: MathNumber, factor: Rational): MathNumber => {
  const exact = a.exact && multiply(a.exact, factor);
  return { exact, approx: a.approx * toNumber(factor), decimals: a.decimals };
};
