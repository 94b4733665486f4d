import { digitAt, drawOperands } from './digits.js';
import { flag } from './knobs.js';
import { defineTask } from './task.js';

/** Columns from the right, as digit+digit+carry=sum: 347+58 gives 7+8+0=15, 4+5+1=10, 3+0+1=4. */
export function additionSteps(a: number, b: number): string[] {
  const columns = String(Math.max(a, b)).length;
  let carry = 0;
  return Array.from({ length: columns }, (_, place) => {
    const [x, y] = [digitAt(a, place), digitAt(b, place)];
    const sum = x + y + carry;
    const step = `${x}+${y}+${carry}=${sum}`;
    carry = sum > 9 ? 1 : 0;
    return step;
  });
}

/** Sums of two numbers, `347+58=`, column by column. */
export const addition = defineTask({
  id: 'addition',
  summary: 'sum of two numbers, column by column with carry',
  difficulty: { counts: 'digits of the longer number', min: 1, max: 14, from: 2, to: 4 },
  knobs: { equal_lengths: flag(false, 'whether both numbers have the same number of digits') },
  alphabet: '0123456789+=;#',
  draw(draws, digits, { equal_lengths }) {
    const [a, b] = drawOperands(draws, digits, equal_lengths ? digits : 1);
    return {
      identity: `${Math.min(a, b)} ${Math.max(a, b)}`,
      build: () => ({ prompt: `${a}+${b}=`, steps: additionSteps(a, b), answer: `${a + b}`, metadata: { operands: [a, b] } }),
    };
  },
});
