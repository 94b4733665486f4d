import { digitAt, drawNumber } from './digits.js';
import { integer } from './knobs.js';
import { defineTask } from './task.js';

/** a times one digit: columns from the right as digit*digit+carry=product, then the product after a colon. */
function rowSteps(a: number, digit: number): string[] {
  let carry = 0;
  return Array.from({ length: String(a).length }, (_, place) => {
    const product = digitAt(a, place) * digit + carry;
    const step = `${digitAt(a, place)}*${digit}+${carry}=${product}`;
    carry = Math.floor(product / 10);
    return step;
  });
}

function multiplicationSteps(a: number, b: number): string[] {
  let total = 0;
  return Array.from(String(b), (_, place) => {
    const digit = digitAt(b, place);
    const row = a * digit * 10 ** place;
    const steps = [...rowSteps(a, digit), `${row}`];
    if (place > 0) steps.push(`${total}+${row}=${total + row}`);
    total += row;
    return steps;
  }).flat();
}

/** Products, `347*58=`: a row for each digit of the second number, and the running sum of the rows. */
export const multiplication = defineTask({
  id: 'multiplication',
  summary: 'product of two numbers: rows by digit, and their running sum',
  difficulty: { counts: 'digits of the first number', min: 1, max: 7, from: 1, to: 3 },
  knobs: { second_digits: integer(2, 1, 7, 'most digits of the second number, which is never the longer one') },
  alphabet: '0123456789*+=;#',
  draw(draws, digits, { second_digits }) {
    const a = drawNumber(draws, digits);
    const b = drawNumber(draws, 1 + draws.below(Math.min(second_digits, digits)));
    return {
      identity: `${Math.min(a, b)} ${Math.max(a, b)}`,
      build: () => ({ prompt: `${a}*${b}=`, steps: multiplicationSteps(a, b), answer: `${a * b}`, metadata: { operands: [a, b] } }),
    };
  },
});
