import { describe, expect, it } from 'vitest';
import type { Probe } from '../../../src/data/probes/index.js';
import {
  argmaxPredictions,
  copying,
  mqar,
  parity,
  probeEvaluation,
  probeSource,
  probes,
  regression,
  scorePredictions,
  selectiveCopying,
  sumScores,
  wordProblem,
} from '../../../src/data/probes/index.js';
import { NDArray } from '../../../src/tensor/array.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';

interface Row {
  readonly inputs: number[];
  readonly targets: number[];
}

function rowsOf(probe: Probe, seed: number, step: number, batchSize: number): Row[] {
  const { inputs, targets } = probe.batch(randomKey(seed), step, batchSize);
  expect(inputs.shape).toEqual([batchSize, probe.context]);
  expect(targets.shape).toEqual([batchSize, probe.context]);
  const part = (a: NDArray, b: number): number[] => Array.from(a.data.slice(b * probe.context, (b + 1) * probe.context), Number);
  return Array.from({ length: batchSize }, (_, b) => ({ inputs: part(inputs, b), targets: part(targets, b) }));
}

const asked = (row: Row): number[] => row.targets.flatMap((y, t) => (y >= 0 ? [t] : []));

describe.each(Object.entries(probes))('%s', (id, make) => {
  const probe = make();

  it('is a pure function of key and step, in range, and asks something in every row', () => {
    expect(probe.id).toBe(id);
    const [a, b] = [rowsOf(probe, 1, 5, 4), rowsOf(probe, 1, 5, 4)];
    expect(a).toEqual(b);
    expect(rowsOf(probe, 1, 6, 4)).not.toEqual(a);
    expect(rowsOf(probe, 2, 5, 4)).not.toEqual(a);
    // a row does not depend on the size of its batch
    expect(rowsOf(probe, 1, 5, 2)).toEqual(a.slice(0, 2));
    expect(new Set(a.map((r) => r.inputs.join())).size).toBe(4);
    for (const row of a) {
      expect(asked(row).length).toBeGreaterThan(0);
      for (const x of row.inputs) expect(x >= 0 && x < probe.vocab_size).toBe(true);
      for (const y of row.targets) expect(y >= -1 && y < probe.vocab_size).toBe(true);
    }
  });

  it('is answered by chance as often as it says', () => {
    let counted = 0;
    const values = new Map<number, number>();
    for (let step = 0; step < 20; step++)
      for (const row of rowsOf(probe, 3, step, 32))
        for (const t of asked(row)) {
          counted++;
          values.set(row.targets[t] as number, (values.get(row.targets[t] as number) ?? 0) + 1);
        }
    expect(values.size).toBeLessThanOrEqual(Math.round(1 / probe.chance));
    // a uniform guess among the answers is right with probability `chance`, however they are distributed
    expect(values.size / Math.round(1 / probe.chance)).toBeGreaterThan(0.9);
    expect(counted).toBeGreaterThan(500);
  });

  it('trains and evaluates on different examples', () => {
    const key = randomKey(11);
    const source = probeSource(probe, key, 64);
    const rows = (batch: { inputs: NDArray }): string[] =>
      Array.from({ length: 64 }, (_, b) => Array.from(batch.inputs.data.slice(b * probe.context, (b + 1) * probe.context), Number).join());
    const trained = new Set(Array.from({ length: 10 }, () => rows(source.next() as { inputs: NDArray })).flat());
    const evaluation = probeEvaluation(probe, key, 2, 64);
    expect(evaluation.length).toBe(2);
    for (const batch of evaluation) for (const row of rows(batch)) expect(trained.has(row)).toBe(false);
  });
});

describe('mqar', () => {
  it.each([false, true])('answers every key once with the value it was given (random filler: %s)', (random_non_queries) => {
    const probe = mqar({ vocab_size: 40, context: 48, num_kv_pairs: 9, random_non_queries });
    for (const row of rowsOf(probe, 0, 0, 50)) {
      const memory = new Map<number, number>();
      for (let i = 0; i < 9; i++) memory.set(row.inputs[2 * i] as number, row.inputs[2 * i + 1] as number);
      expect(memory.size).toBe(9);
      expect(new Set(memory.values()).size).toBe(9);
      for (const [key, value] of memory) {
        expect(key >= 1 && key < 20).toBe(true);
        expect(value >= 20 && value < 40).toBe(true);
      }
      const places = asked(row);
      expect(places.map((t) => row.inputs[t] as number).sort()).toEqual([...memory.keys()].sort());
      for (const t of places) {
        expect(t >= 18 && t % 2 === 0).toBe(true);
        expect(row.targets[t]).toBe(memory.get(row.inputs[t] as number));
      }
      const filler = row.inputs.filter((_, t) => t >= 18 && !places.includes(t));
      expect(filler.some((x) => x !== 0)).toBe(random_non_queries);
    }
  });

  it('asks in slots with probabilities j^(a - 1), drawn one after the other without replacement', () => {
    // two queries in four slots: every ordered pair's probability is known
    const a = 0.5;
    const weights = [1, 2, 3, 4].map((j) => j ** (a - 1));
    const total = weights.reduce((x, y) => x + y, 0);
    const probe = mqar({ vocab_size: 16, context: 12, num_kv_pairs: 2, power_a: a });
    const counts = new Map<string, number>();
    const n = 20_000;
    for (const row of rowsOf(probe, 7, 0, n)) {
      const first = row.inputs.indexOf(row.inputs[0] as number, 4);
      const second = row.inputs.indexOf(row.inputs[2] as number, 4);
      const pair = [(first - 4) / 2, (second - 4) / 2].join();
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    let chi2 = 0;
    for (const [i, wi] of weights.entries())
      for (const [j, wj] of weights.entries()) {
        if (i === j) continue;
        const expected = n * (wi / total) * (wj / (total - wi));
        chi2 += ((counts.get([i, j].join()) ?? 0) - expected) ** 2 / expected;
      }
    expect(chi2).toBeLessThan(31.3); // 11 degrees of freedom, p = 0.001
  });

  it('names settings that leave no room', () => {
    expect(() => mqar({ context: 31, num_kv_pairs: 8 })).toThrow(/at least 32/);
    expect(() => mqar({ vocab_size: 16, num_kv_pairs: 8 })).toThrow(/num_kv_pairs must be an integer from 1 to 7/);
    expect(() => mqar({ power_a: 0 })).toThrow(/power_a/);
  });
});

describe('state tracking', () => {
  it('parity counts the ones so far', () => {
    for (const { inputs, targets } of rowsOf(parity({ context: 21 }), 0, 0, 40))
      targets.forEach((y, t) => {
        expect(y).toBe(inputs.slice(0, t + 1).filter((x) => x === 1).length % 2);
      });
  });

  /** The k-th order of `items` in lexicographic order, by stepping through the orders one after the other. */
  function kthOrder(items: number, k: number): number[] {
    const order = Array.from({ length: items }, (_, i) => i);
    for (let step = 0; step < k; step++) {
      let i = items - 2;
      while ((order[i] as number) > (order[i + 1] as number)) i--;
      let j = items - 1;
      while ((order[j] as number) < (order[i] as number)) j--;
      [order[i], order[j]] = [order[j] as number, order[i] as number];
      order.splice(i + 1, items, ...order.slice(i + 1).reverse());
    }
    return order;
  }

  it.each([2, 3, 4, 5])('the word problem of S_%i moves objects as the permutations say', (n) => {
    const probe = wordProblem({ n, context: 12 });
    for (const { inputs, targets } of rowsOf(probe, 1, 0, 20)) {
      // place[o] is where object o stands
      let place = Array.from({ length: n }, (_, o) => o);
      inputs.forEach((g, t) => {
        const moves = kthOrder(n, g);
        place = place.map((p) => moves[p] as number);
        expect(kthOrder(n, targets[t] as number)).toEqual(place);
      });
    }
  });
});

describe('copying', () => {
  it('asks for the text before the separator, given what was copied so far', () => {
    for (const { inputs, targets } of rowsOf(copying({ vocab_size: 10, length: 7 }), 0, 0, 30)) {
      const text = inputs.slice(0, 7);
      expect(text.every((x) => x >= 1)).toBe(true);
      expect(inputs.slice(7)).toEqual([0, ...text.slice(0, 6)]);
      expect(targets).toEqual([-1, -1, -1, -1, -1, -1, -1, ...text]);
    }
  });

  it('asks for the symbols among the blanks in order', () => {
    for (const { inputs, targets } of rowsOf(selectiveCopying({ vocab_size: 6, length: 20, num_symbols: 5 }), 0, 0, 30)) {
      const symbols = inputs.slice(0, 20).filter((x) => x !== 0);
      expect(symbols.length).toBe(5);
      expect(symbols.every((x) => x >= 2)).toBe(true);
      expect(inputs.slice(20)).toEqual([1, 1, 1, 1, 1]);
      expect(targets).toEqual([...new Array(20).fill(-1), ...symbols]);
    }
  });
});

describe('regression', () => {
  it.each([1, 2])('gives answers that one linear function of %i inputs explains', (dimension) => {
    // a grid over (w, c) is searched for a function that falls into every answer's bin, or misses none by more than the grid's step
    const bins = 8;
    const num_examples = 12;
    const steps = dimension === 1 ? 200 : 40;
    const grid = Array.from({ length: steps + 1 }, (_, i) => (2 * i) / steps - 1);
    const points =
      dimension === 1 ? grid.flatMap((w) => grid.map((c) => [w, c])) : grid.flatMap((w) => grid.flatMap((v) => grid.map((c) => [w, v, c])));
    const stride = dimension + 1;
    for (const { inputs, targets } of rowsOf(regression({ dimension, bins, num_examples }), 5, 0, 4)) {
      const examples = Array.from({ length: num_examples }, (_, i) => ({
        x: inputs.slice(i * stride, i * stride + dimension).map((b) => -1 + (b + 0.5) * (2 / bins)),
        bin: (inputs[i * stride + dimension] as number) - bins,
      }));
      const slack = 1 / steps;
      const fits = points.some((p) =>
        examples.every(({ x, bin }) => {
          const y = (x.reduce((sum, xj, j) => sum + xj * (p[j] as number), 0) + (p[dimension] as number)) / (dimension + 1);
          return y >= -1 + (bin * 2) / bins - slack && y <= -1 + ((bin + 1) * 2) / bins + slack;
        }),
      );
      expect(fits).toBe(true);
      const expected = examples.map(({ bin }, i) => (i > dimension ? bin + bins : -1));
      expect(targets.filter((_, t) => t % stride === dimension - 1)).toEqual(expected);
      expect(targets.filter((_, t) => t % stride !== dimension - 1).every((y) => y === -1)).toBe(true);
    }
  });

  it('names settings under which nothing can be learnt', () => {
    expect(() => regression({ dimension: 3, num_examples: 4 })).toThrow(/at least 5/);
  });
});

describe('scores', () => {
  const targets = new NDArray('i32', [2, 3], Int32Array.of(-1, 2, 0, 1, -1, -1));
  it('count exact answers where something is asked', () => {
    expect(scorePredictions([9, 2, 1, 1, 9, 9], targets)).toEqual({ correct: 2, counted: 3, accuracy: 2 / 3 });
    expect(scorePredictions([9, 2, 0, 1, 9, 9], targets).accuracy).toBe(1);
    expect(() => scorePredictions([1], targets)).toThrow(/1 predictions for 6 targets/);
    const sum = sumScores([
      { correct: 1, counted: 1, accuracy: 1 },
      { correct: 0, counted: 3, accuracy: 0 },
    ]);
    expect(sum).toEqual({ correct: 1, counted: 4, accuracy: 0.25 });
  });
  it('take the largest logit, the first of equals', () => {
    const logits = new NDArray('f32', [1, 3, 3], Float32Array.of(0, 2, 1, 5, 5, 5, -3, -2, -1));
    expect(Array.from(argmaxPredictions(logits))).toEqual([1, 0, 2]);
    expect(() => argmaxPredictions(new NDArray('f32', [1, 1, 2], Float32Array.of(0, Number.NaN)))).toThrow(/position 0 hold NaN/);
    expect(() => argmaxPredictions(targets)).toThrow(/needs logits f32/);
  });
  it('a solver of copying that reads the input scores 1', () => {
    const probe = copying({ vocab_size: 8, length: 5 });
    const batch = probe.batch(randomKey(0), 0, 6);
    const predictions = Array.from({ length: 60 }, (_, i) =>
      Number(batch.inputs.data[Math.floor(i / 10) * 10 + Math.max(0, (i % 10) - 5)]),
    );
    expect(scorePredictions(predictions, batch.targets)).toEqual({ correct: 30, counted: 30, accuracy: 1 });
  });
});
