import { defineProbe, type Probe } from './probe.js';

/** Running parity: the inputs are random bits, the target at each position is the parity of all bits so far. A state machine of two states. */
export function parity(settings: { readonly context?: number } = {}): Probe {
  const { context = 64 } = settings;
  return defineProbe({
    id: 'parity',
    summary: 'parity of the bits so far, at every position',
    paper: 'Hahn 2020, arXiv:1906.06755',
    settings: { context },
    vocab_size: 2,
    context,
    chance: 1 / 2,
    example(draws, inputs, targets) {
      let state = 0;
      for (let t = 0; t < context; t++) {
        const bit = draws.below(2);
        state ^= bit;
        inputs[t] = bit;
        targets[t] = state;
      }
    },
  });
}
