import { describe, expect, it } from 'vitest';
import { judgingBase, judgingSteps } from '../../src/lab/bases/judging.js';
import { pairProblems } from '../../src/lab/testbeds/rl/judging.js';

/** The value of a chain, by a parser of its own. */
function reached(question: string): number {
  const [start, ...operations] = question.split(',') as [string, ...string[]];
  return operations.reduce(
    (value, o) => (o[0] === '+' ? value + +o.slice(1) : o[0] === '-' ? value - +o.slice(1) : value * +o.slice(1)),
    +start,
  );
}

describe('pairs to judge', () => {
  const sets = [pairProblems('train'), pairProblems('test')] as const;

  it('hold one right answer, on either side about as often, and the verdict that names it', () => {
    for (const { rows } of sets) {
      for (const { prompt, question, chosen, rejected, answer } of rows) {
        expect(reached(question as string)).toBe(Number(chosen));
        expect(Number(rejected) % 10).not.toBe(Number(chosen) % 10);
        const [, first, second] = /\?(\d+)A\|(\d+)B$/.exec(prompt) ?? [];
        expect([first, second]).toEqual(answer === 'A' ? [chosen, rejected] : [rejected, chosen]);
      }
      const share = rows.filter(({ answer }) => answer === 'A').length / rows.length;
      expect(Math.abs(share - 0.5)).toBeLessThan(0.1);
    }
  });

  it('have a worked thought that is judged right, and gives the right verdict: 0 at the end where the first answer is right', () => {
    for (const problems of sets)
      for (const row of problems.rows) {
        const solution = row.solution as string;
        expect(problems.judge(solution, row)).toBe(1);
        expect(problems.chain?.(solution, row)).toBe(true);
        expect(solution.split('#')[0]?.endsWith('0')).toBe(row.answer === 'A');
        expect(problems.judge(`#${row.answer === 'A' ? 'B' : 'A'}`, row)).toBe(0);
        expect(problems.chain?.(solution.replace('=', '=1'), row)).toBe(false);
      }
    const pair = { question: '9,*5', chosen: '45', rejected: '44', chosenFirst: false };
    expect(judgingSteps(pair)).toEqual(['9*5=45', '45-4=41']);
    expect(judgingSteps(pair, () => 2)).toEqual(['9*5=47', '47-4=45']);
  });

  it('share no problem with each other or with what the base has seen', () => {
    const [train, test] = sets.map(({ rows }) => new Set(rows.map(({ question }) => question)));
    const seen = new Set(judgingBase.documents().map(({ prompt }) => prompt.split('?')[0]));
    for (const question of test ?? []) {
      expect(train?.has(question)).toBe(false);
      expect(seen.has(question as string)).toBe(false);
    }
  });
});
