import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate, formatExpression, normalForm, parseExpression } from '../../../src/data/tasks/expression.js';
import { chainIsRight, countdownForm, countdownSolutions, createDataset, type TaskEntry } from '../../../src/data/tasks/index.js';

/** Whether the target can be made of the numbers: all fractions (as doubles) that any order of operations gives. */
function reachable(numbers: readonly number[], target: number): boolean {
  if (numbers.length === 1) return Math.abs((numbers[0] as number) - target) < 1e-9;
  return numbers.some((a, i) =>
    numbers.some((b, j) => {
      if (i === j) return false;
      const rest = numbers.filter((_, k) => k !== i && k !== j);
      return [a + b, a - b, a * b, ...(Math.abs(b) > 1e-12 ? [a / b] : [])].some((x) => reachable([...rest, x], target));
    }),
  );
}

const problem = (numbers: number[], target: number, useAll = true): TaskEntry => ({
  prompt: '',
  solution: '',
  answer: '',
  steps: [],
  difficulty: numbers.length,
  metadata: { numbers, target, use_all: useAll },
});

describe('expressions', () => {
  const tree: fc.Memo<string> = fc.memo((depth) =>
    depth <= 1
      ? fc.integer({ min: 0, max: 40 }).map(String)
      : fc.oneof(
          fc.integer({ min: 0, max: 40 }).map(String),
          fc.tuple(tree(), fc.constantFrom('+', '-', '*', '/'), tree()).map(([a, o, b]) => `(${a}${o}${b})`),
        ),
  );

  it('have the value that JavaScript gives them, as read and as written again', () => {
    fc.assert(
      fc.property(tree(4), (text) => {
        const value = new Function(`return ${text}`)() as number;
        const parsed = parseExpression(text);
        expect(parsed).not.toBeNull();
        if (parsed === null) return;
        const exact = evaluate(parsed);
        if (!exact) {
          // a division by zero somewhere: JavaScript goes on with infinities
          expect(text).toContain('/');
          return;
        }
        if (Number.isFinite(value)) expect(Number(exact.n) / Number(exact.d)).toBeCloseTo(value, 6);
        const again = parseExpression(formatExpression(parsed));
        expect(again).not.toBeNull();
        const back = again === null ? null : evaluate(again);
        expect(back).toEqual(exact);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    '',
    '1+',
    '+1',
    '-1',
    '2**3',
    '1e3',
    '(1',
    '1)',
    '()',
    '1 2+',
    '1 2',
    'x',
    '1,2',
    '0x1',
    '1;2',
    '1'.repeat(10),
    '('.repeat(300),
    '1+'.repeat(200),
  ])('refuses %j', (text) => {
    const value = parseExpression(text);
    // blanks within numbers are the only leniency: 1 2+ is 12+
    expect(value).toBeNull();
  });

  it('share a normal form exactly where they differ by order, grouping or parentheses', () => {
    const form = (text: string): string | null => countdownForm(text);
    expect(form('3*5+7')).toBe(form('7+(5*3)'));
    expect(form('9-(4-2)')).toBe(form('9-4+2'));
    expect(form('2*(6/3)')).toBe(form('6*2/3'));
    expect(form('8-(1+2)')).toBe(form('(8-2)-1'));
    expect(form('9-4-2')).not.toBe(form('9-4+2'));
    expect(form('(3+5)*7')).not.toBe(form('3+5*7'));
    expect(form('3+')).toBeNull();
    expect(normalForm(4)).toBe('4');
  });
});

describe('countdown', () => {
  it('asks what exhaustive search can solve', () => {
    const dataset = createDataset('countdown', { size: 40, seed: 3, min_difficulty: 2, max_difficulty: 4, split: 'all' });
    for (let i = 0; i < dataset.length; i++) {
      const { numbers, target } = dataset.entry(i).metadata as { numbers: number[]; target: number };
      expect(numbers).toHaveLength(dataset.entry(i).difficulty);
      expect(reachable(numbers, target)).toBe(true);
    }
  });

  it('finds a solution by search exactly where there is one, and all of them are right and different', () => {
    const dataset = createDataset('countdown', { size: 1, seed: 0 });
    for (const [numbers, targets] of [
      [[3, 5, 7], 40],
      [[1, 5, 5, 5], 26],
      [[3, 3, 8, 8], 26],
    ] as const)
      for (let target = 1; target < targets; target += numbers.length === 3 ? 1 : 5) {
        const found = countdownSolutions(numbers, target);
        expect(found.length > 0, `${numbers} -> ${target}`).toBe(reachable(numbers, target));
        for (const text of found) expect(dataset.score(text, problem([...numbers], target)), text).toBe(1);
        expect(new Set(found.map(countdownForm)).size).toBe(found.length);
      }
  });

  it('solves by fractions, which no chain of integers does', () => {
    // the two classics that need a fraction
    expect(countdownSolutions([3, 3, 8, 8], 24)).toEqual(['8/(3-8/3)']);
    expect(countdownSolutions([1, 5, 5, 5], 24)).toEqual(['5*(5-1/5)']);
  });

  it('scores any valid expression, and only those', () => {
    const dataset = createDataset('countdown', { size: 1, seed: 0 });
    const score = (answer: string, useAll = true): number => dataset.score(answer, problem([3, 5, 7, 3], 25, useAll));
    expect(score('3+5*3+7')).toBe(1);
    expect(score(' (5 * 3) + 7 + 3 ')).toBe(1);
    expect(score('5*3+7+3-0')).toBe(0);
    expect(score('5*5')).toBe(0);
    expect(score('25')).toBe(0);
    expect(score('3*5+3+7=25')).toBe(0);
    expect(score('7*3+5')).toBe(0);
    expect(score('3*7+5-3/3')).toBe(0);
    expect(dataset.score('5*5', problem([5, 5, 9], 25))).toBe(0);
    expect(dataset.score('5*5', problem([5, 5, 9], 25, false))).toBe(1);
    expect(dataset.score('5/0', problem([5, 0], 25))).toBe(0);
  });

  it('judges moves by what is left, and shows failed tries that are ended by x', () => {
    const dataset = createDataset('countdown', { size: 60, seed: 5, attempts: 3 });
    let failed = 0;
    for (let i = 0; i < dataset.length; i++) {
      const entry = dataset.entry(i);
      failed += entry.steps.filter((s) => s.endsWith('x')).length;
      expect(chainIsRight(dataset, entry.solution, entry)).toBe(true);
    }
    expect(failed).toBeGreaterThan(20);
    const entry = problem([3, 5, 7], 22);
    const judge = (chain: string): [readonly boolean[], boolean] => {
      const { right, complete } = dataset.judgeSteps(`${chain}#`, entry);
      return [right, complete];
    };
    expect(judge('3*5=15;15+7=22')).toEqual([[true, true], true]);
    expect(judge('3+5=8;8+7=15x;5*3=15;7+15=22')).toEqual([[true, true, true, true], true]);
    expect(judge('3*5=15;15+3=18')).toEqual([[true, false], false]);
    expect(judge('3*5=16;16+7=23')).toEqual([[false, true], false]);
    expect(judge('3*5=15')).toEqual([[true], false]);
    expect(judge('')).toEqual([[], false]);
  });
});
