import type { Draws } from '../probes/draws.js';
import { type Expression, evaluate, formatExpression, normalForm, numbersIn, type Operator, parseExpression } from './expression.js';
import { flag, integer } from './knobs.js';
import { type ChainVerdict, defineTask, type TaskEntry } from './task.js';

interface Term {
  readonly value: number;
  readonly expression: Expression;
}

interface Play {
  readonly steps: readonly string[];
  readonly result: Term;
}

/** results above this are not drawn */
const maxValue = 999;

/** What players may make of two numbers: results are positive integers, and no number is multiplied or divided by 1. */
function moves(
  a: Term,
  b: Term,
): readonly { readonly operator: Operator; readonly left: Term; readonly right: Term; readonly value: number }[] {
  const [left, right] = a.value >= b.value ? [a, b] : [b, a];
  const out: { operator: Operator; left: Term; right: Term; value: number }[] = [
    { operator: '+', left, right, value: left.value + right.value },
  ];
  if (left.value > right.value) out.push({ operator: '-', left, right, value: left.value - right.value });
  if (right.value > 1) out.push({ operator: '*', left, right, value: left.value * right.value });
  if (right.value > 1 && left.value % right.value === 0) out.push({ operator: '/', left, right, value: left.value / right.value });
  return out.filter((m) => m.value <= maxValue);
}

/** All numbers combined by random moves. Null where a move would leave the range. */
function play(draws: Draws, numbers: readonly number[]): Play | null {
  const pool: Term[] = numbers.map((value) => ({ value, expression: value }));
  const steps: string[] = [];
  while (pool.length > 1) {
    const [i = 0, j = 1] = draws.distinct(2, pool.length).sort((a, b) => a - b);
    const options = moves(pool[i] as Term, pool[j] as Term);
    const move = options[draws.below(Math.max(1, options.length))];
    if (!move) return null;
    const { operator, left, right, value } = move;
    steps.push(`${left.value}${operator}${right.value}=${value}`);
    pool.splice(j, 1);
    pool.splice(i, 1);
    pool.push({ value, expression: { operator, left: left.expression, right: right.expression } });
  }
  return { steps, result: pool[0] as Term };
}

function problemOf(entry: TaskEntry): { numbers: number[]; target: number; useAll: boolean } {
  const { numbers, target, use_all } = entry.metadata;
  return { numbers: [...(numbers as number[])], target: target as number, useAll: use_all === true };
}

/** Takes a number out of the pool; false where it is not there. */
function take(pool: number[], value: number): boolean {
  const at = pool.indexOf(value);
  if (at >= 0) pool.splice(at, 1);
  return at >= 0;
}

function score(answer: string, entry: TaskEntry): number {
  const { numbers, target, useAll } = problemOf(entry);
  const expression = parseExpression(answer);
  if (expression === null) return 0;
  if (!numbersIn(expression).every((n) => take(numbers, n)) || (useAll && numbers.length > 0)) return 0;
  const value = evaluate(expression);
  return value?.d === 1n && value.n === BigInt(target) ? 1 : 0;
}

const stepForm = /^(-?\d{1,9})([-+*/])(-?\d{1,9})=(-?\d{1,9})(x?)$/;

const apply = (operator: string, a: number, b: number): number =>
  operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : a / b;

/** A step is right where both numbers are still there and the result is true; x after a result gives the try up and starts again. */
function judgeSteps(steps: readonly string[], entry: TaskEntry): ChainVerdict {
  const { numbers, target, useAll } = problemOf(entry);
  let pool = [...numbers];
  let reached = false;
  const right = steps.map((step) => {
    const [, a = '', operator = '', b = '', result = '', end] = stepForm.exec(step) ?? [];
    const ok = result !== '' && take(pool, Number(a)) && take(pool, Number(b)) && apply(operator, Number(a), Number(b)) === Number(result);
    reached = ok && !end && Number(result) === target && (!useAll || pool.length === 0);
    if (end) pool = [...numbers];
    else pool.push(Number(result));
    return ok;
  });
  return { right, complete: reached };
}

/**
 * Countdown, `3 5 7=22:`: an expression of the numbers, each used once, that makes the target. Any such expression is right. Steps show the
 * moves; with `attempts`, tries that failed stand before them, each ended by x.
 */
export const countdown = defineTask({
  id: 'countdown',
  summary: 'an expression of given numbers that makes a target; any valid one counts',
  paper: 'arXiv:2404.03683',
  difficulty: { counts: 'numbers', min: 2, max: 6, from: 3, to: 3 },
  knobs: {
    max_number: integer(12, 4, 99, 'numbers are 1 to max_number'),
    max_target: integer(99, 9, 999, 'targets are 1 to max_target'),
    use_all: flag(true, 'whether every number must be used; else each at most once'),
    attempts: integer(0, 0, 8, 'most failed tries that a worked solution shows'),
  },
  alphabet: '0123456789+-*/()=: ;x#',
  draw(draws, count, { max_number, max_target, use_all, attempts }) {
    const numbers = Array.from({ length: count }, () => 1 + draws.below(max_number));
    const solution = play(draws, numbers);
    const target = solution?.result.value ?? 0;
    if (!solution || target > max_target || numbers.includes(target)) return null;
    return {
      identity: `${[...numbers].sort((a, b) => a - b).join(' ')}=${target}`,
      build() {
        const failed = Array.from({ length: attempts && draws.below(attempts + 1) }, () => play(draws, numbers)).flatMap((attempt) => {
          if (!attempt || attempt.result.value === target) return [];
          return attempt.steps.map((step, i) => (i === attempt.steps.length - 1 ? `${step}x` : step));
        });
        return {
          prompt: `${numbers.join(' ')}=${target}:`,
          steps: [...failed, ...solution.steps],
          answer: formatExpression(solution.result.expression),
          metadata: { numbers, target, use_all },
        };
      },
    };
  },
  score,
  judgeSteps,
});

/** The normal form of an answer, by which different solutions are told apart; null where it is no expression. */
export function countdownForm(answer: string): string | null {
  const expression = parseExpression(answer);
  return expression === null ? null : normalForm(expression);
}

/** Every solution, one expression for each normal form, by exhaustive search over rationals. At most 5 numbers are searched in reasonable time. */
export function countdownSolutions(numbers: readonly number[], target: number, useAll = true): string[] {
  const found = new Map<string, string>();
  const seen = new Set<string>();
  const search = (pool: readonly Expression[]): void => {
    const state = pool.map(normalForm).sort().join('|');
    if (seen.has(state)) return;
    seen.add(state);
    for (const e of !useAll || pool.length === 1 ? pool : []) {
      const value = evaluate(e);
      if (value?.d === 1n && value.n === BigInt(target)) found.set(normalForm(e), formatExpression(e));
    }
    for (const [i, a] of pool.entries())
      for (const [j, b] of pool.entries()) {
        if (i === j) continue;
        const rest = pool.filter((_, k) => k !== i && k !== j);
        for (const operator of i < j ? (['+', '-', '*', '/'] as const) : (['-', '/'] as const)) {
          const joined: Expression = { operator, left: a, right: b };
          if (operator !== '/' || evaluate(joined)) search([...rest, joined]);
        }
      }
  };
  search([...numbers]);
  return [...found.values()];
}
