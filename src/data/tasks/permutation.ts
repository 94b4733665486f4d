import { integer } from './knobs.js';
import { defineTask } from './task.js';

/** Objects under exchanges of two places, `abc 12 23=`: a step is the order after an exchange. The state tracking of S_n. */
export const permutation = defineTask({
  id: 'permutation',
  summary: 'the order of objects after exchanges of places, with the order after each',
  paper: 'arXiv:2404.08819',
  difficulty: { counts: 'exchanges', min: 1, max: 64, from: 3, to: 8 },
  knobs: { objects: integer(3, 2, 6, 'number of objects; 5 and more make the problem complete for NC1') },
  alphabet: 'abcdef123456 =;#',
  draw(draws, count, { objects }) {
    const start = 'abcdef'.slice(0, objects);
    const exchanges = Array.from({ length: count }, () => draws.distinct(2, objects).sort((x, y) => x - y) as [number, number]);
    const prompt = `${start} ${exchanges.map(([i, j]) => `${i + 1}${j + 1}`).join(' ')}=`;
    return {
      identity: prompt,
      build() {
        const order = [...start];
        const steps = exchanges.map(([i, j]) => {
          [order[i], order[j]] = [order[j] as string, order[i] as string];
          return order.join('');
        });
        return { prompt, steps, answer: order.join(''), metadata: { exchanges } };
      },
    };
  },
});
