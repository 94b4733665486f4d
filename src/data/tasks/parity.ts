import { defineTask } from './task.js';

/** Parity of a string of bits, `10110=`: a step is bit:parity so far. */
export const parityTask = defineTask({
  id: 'parity',
  summary: 'whether the number of ones is odd, with the running parity',
  difficulty: { counts: 'bits', min: 2, max: 128, from: 6, to: 16 },
  knobs: {},
  alphabet: '01=:;#',
  draw(draws, length) {
    const bits = Array.from({ length }, () => draws.below(2));
    const prompt = `${bits.join('')}=`;
    return {
      identity: prompt,
      build() {
        let parity = 0;
        const steps = bits.map((bit) => {
          parity ^= bit;
          return `${bit}:${parity}`;
        });
        return { prompt, steps, answer: `${parity}` };
      },
    };
  },
});
