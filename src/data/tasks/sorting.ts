import { integer } from './knobs.js';
import { defineTask } from './task.js';

/** Sorting, `5 3 9 1<`: a step takes the least number off what is left, `1|5 3 9`. */
export const sorting = defineTask({
  id: 'sorting',
  summary: 'numbers in ascending order, by selecting the least of the rest',
  difficulty: { counts: 'numbers', min: 2, max: 24, from: 3, to: 6 },
  knobs: { max_number: integer(99, 1, 9999, 'numbers are 0 to max_number, repetitions included') },
  alphabet: '0123456789 <|;#',
  draw(draws, count, { max_number }) {
    const numbers = Array.from({ length: count }, () => draws.below(max_number + 1));
    const prompt = `${numbers.join(' ')}<`;
    return {
      identity: prompt,
      build() {
        const rest = [...numbers];
        const sorted: number[] = [];
        const steps: string[] = [];
        while (rest.length > 1) {
          const least = Math.min(...rest);
          rest.splice(rest.indexOf(least), 1);
          sorted.push(least);
          steps.push(`${least}|${rest.join(' ')}`);
        }
        return { prompt, steps, answer: [...sorted, ...rest].join(' '), metadata: { numbers } };
      },
    };
  },
  score: (answer, entry) => (answer.trim().replace(/ +/g, ' ') === entry.answer ? 1 : 0),
});
