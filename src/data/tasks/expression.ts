import { add, divide, multiply, type Rational, subtract } from './math/rational.js';

export type Operator = '+' | '-' | '*' | '/';

export type Expression = number | { readonly operator: Operator; readonly left: Expression; readonly right: Expression };

const maxLength = 256;
const maxDigits = 9;

/** Reads non-negative integers, + - * / and parentheses with the usual precedence; null for anything else, and for texts of over 256 characters. */
export function parseExpression(text: string): Expression | null {
  // a blank within a number would join two numbers
  if (text.length > maxLength || /\d +\d/.test(text)) return null;
  const source = text.replaceAll(' ', '');
  let at = 0;

  function chain(operators: string, operand: () => Expression | null): Expression | null {
    let left = operand();
    while (left !== null && at < source.length && operators.includes(source[at] as string)) {
      const operator = source[at++] as Operator;
      const right = operand();
      left = right === null ? null : { operator, left, right };
    }
    return left;
  }
  const sum = (): Expression | null => chain('+-', product);
  const product = (): Expression | null => chain('*/', atom);
  function atom(): Expression | null {
    if (source[at] === '(') {
      at++;
      const inner = sum();
      return source[at++] === ')' ? inner : null;
    }
    const start = at;
    while (at < source.length && source.charCodeAt(at) >= 48 && source.charCodeAt(at) <= 57) at++;
    return at === start || at - start > maxDigits ? null : Number(source.slice(start, at));
  }
  const parsed = sum();
  return at === source.length ? parsed : null;
}

/** The exact value; null where a division by zero occurs. */
export function evaluate(e: Expression): Rational | null {
  if (typeof e === 'number') return { n: BigInt(e), d: 1n };
  const [left, right] = [evaluate(e.left), evaluate(e.right)];
  if (!left || !right) return null;
  if (e.operator === '+') return add(left, right);
  if (e.operator === '-') return subtract(left, right);
  return e.operator === '*' ? multiply(left, right) : divide(left, right);
}

/** The numbers that occur, from left to right. */
export const numbersIn = (e: Expression): number[] => (typeof e === 'number' ? [e] : [...numbersIn(e.left), ...numbersIn(e.right)]);

/** The expression as text without needless parentheses. */
export function formatExpression(e: Expression): string {
  if (typeof e === 'number') return `${e}`;
  const tight = e.operator === '*' || e.operator === '/';
  const inParentheses = (child: Expression, isRight: boolean): string => {
    const text = formatExpression(child);
    if (typeof child === 'number') return text;
    const childTight = child.operator === '*' || child.operator === '/';
    const needed = tight ? !childTight || (isRight && e.operator === '/') : isRight && e.operator === '-' && !childTight;
    return needed ? `(${text})` : text;
  };
  // a*(b/c) reads a*b/c and a+(b-c) reads a+b-c: the values are equal
  return `${inParentheses(e.left, false)}${e.operator}${inParentheses(e.right, true)}`;
}

/**
 * One spelling for all expressions that differ by order, by grouping of sums or products, or by parentheses alone: signed terms sorted,
 * factors and divisors sorted. Solutions with equal normal forms count as one.
 */
export function normalForm(e: Expression): string {
  if (typeof e === 'number') return `${e}`;
  const tight = e.operator === '*' || e.operator === '/';
  const [direct, inverse] = tight ? ['*', '/'] : ['+', '-'];
  const parts: string[] = [];
  const collect = (node: Expression, inverted: boolean): void => {
    if (typeof node !== 'number' && (node.operator === direct || node.operator === inverse)) {
      collect(node.left, inverted);
      collect(node.right, inverted !== (node.operator === inverse));
    } else parts.push(`${inverted ? inverse : direct}${normalForm(node)}`);
  };
  collect(e, false);
  return `(${parts.sort().join('')})`;
}
