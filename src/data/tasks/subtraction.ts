import { digitAt, drawOperands } from './digits.js';
import { flag } from './knobs.js';
import { defineTask } from './task.js';

/** Columns from the right, as digit-digit-borrow=difference, b after a difference that borrowed ten: 347-58 gives 7-8-0=9b, 4-5-1=8b, 3-0-1=2. */
function subtractionSteps(a: number, b: number): string[] {
  let borrow = 0;
  return Array.from({ length: String(a).length }, (_, place) => {
    const [x, y] = [digitAt(a, place), digitAt(b, place)];
    const difference = x - y - borrow;
    const step = `${x}-${y}-${borrow}=${difference < 0 ? `${difference + 10}b` : difference}`;
    borrow = difference < 0 ? 1 : 0;
    return step;
  });
}

/** Differences, `347-58=`, column by column. The result is never negative. */
export const subtraction = defineTask({
  id: 'subtraction',
  summary: 'difference of two numbers, column by column with borrowing; never negative',
  difficulty: { counts: 'digits of the first number', min: 1, max: 14, from: 2, to: 4 },
  knobs: { equal_lengths: flag(false, 'whether both numbers have the same number of digits') },
  alphabet: '0123456789-=b;#',
  draw(draws, digits, { equal_lengths }) {
    const pair = drawOperands(draws, digits, equal_lengths ? digits : 1);
    const [a, b] = [Math.max(...pair), Math.min(...pair)];
    return {
      identity: `${a} ${b}`,
      build: () => ({ prompt: `${a}-${b}=`, steps: subtractionSteps(a, b), answer: `${a - b}`, metadata: { operands: [a, b] } }),
    };
  },
});
