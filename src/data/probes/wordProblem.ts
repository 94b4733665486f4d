import { checkSetting, defineProbe, type Probe } from './probe.js';

/** All orders of 0 ... n-1 in lexicographic order: element i of the symmetric group, as the images of 0 ... n-1. */
export function permutationsOf(n: number): number[][] {
  if (n === 0) return [[]];
  const smaller = permutationsOf(n - 1);
  return Array.from({ length: n }, (_, first) => smaller.map((rest) => [first, ...rest.map((x) => (x >= first ? x + 1 : x))])).flat();
}

/** table[a * order + b] is the number of a∘b: first b, then a. */
export function compositionTable(elements: readonly (readonly number[])[]): Uint16Array {
  const numbers = new Map(elements.map((e, i) => [e.join(), i]));
  return Uint16Array.from(elements.flatMap((a) => elements.map((b) => numbers.get(b.map((x) => a[x] as number).join()) as number)));
}

/**
 * The word problem of the symmetric group S_n (Merrill, Petty and Sabharwal 2024, arXiv:2404.08819): the inputs are random permutations
 * g_1, g_2, ..., the target at position t is g_t∘...∘g_1. Tokens number the n! permutations lexicographically. For n = 5 no circuit of constant
 * depth and polynomial size of threshold gates is known (the problem is complete for NC1, Barrington 1986); S_3 is solvable and easier.
 */
export function wordProblem(settings: { readonly n?: number; readonly context?: number } = {}): Probe {
  const { n = 5, context = 32 } = settings;
  checkSetting('word-problem', 'n', n, 2, 5);
  const elements = permutationsOf(n);
  const order = elements.length;
  const table = compositionTable(elements);
  return defineProbe({
    id: 'word-problem',
    summary: `product of the permutations of ${n} objects so far, at every position`,
    paper: 'arXiv:2404.08819',
    settings: { n, context },
    vocab_size: order,
    context,
    chance: 1 / order,
    example(draws, inputs, targets) {
      let state = 0;
      for (let t = 0; t < context; t++) {
        const g = draws.below(order);
        state = table[g * order + state] as number;
        inputs[t] = g;
        targets[t] = state;
      }
    },
  });
}
