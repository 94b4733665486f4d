import {
  type Example,
  type ExampleSet,
  exampleBatches,
  exampleSet,
  type Sequence,
  type SequenceBatch,
} from '../../../src/data/examples/index.js';

/** A sequence of ids, of which those at the places in `on` are trained on. */
export const sequence = (ids: readonly number[], on: readonly number[], steps?: Readonly<Record<number, number>>): Sequence => ({
  ids: Int32Array.from(ids),
  trained: Uint8Array.from(ids, (_, i) => (on.includes(i) ? 1 : 0)),
  ...(steps ? { values: { step_labels: Float32Array.from(ids, (_, i) => steps[i] ?? -1) } } : {}),
});

/** Demonstrations: prompts, answers with a hole, a last token that nothing depends on. */
export const demonstrations: ExampleSet = exampleSet(
  [
    { sequences: [sequence([3, 1, 4, 1, 5, 2], [2, 3, 4])] },
    { sequences: [sequence([2, 6, 5, 3, 5], [1, 2, 4])] },
    { sequences: [sequence([0, 4, 6, 6, 1, 3, 2], [3, 4, 5, 6])] },
  ],
  'demonstrations',
);

const pair = (chosen: Sequence, rejected: Sequence, columns: Readonly<Record<string, readonly number[]>>): Example => ({
  sequences: [chosen, rejected],
  columns,
});

/** Pairs, with every column that a method of the slots reads. */
export const pairs: ExampleSet = exampleSet(
  [
    pair(sequence([3, 1, 4, 1, 5], [2, 3, 4]), sequence([3, 1, 2, 6], [2, 3]), columnsOf(0)),
    pair(sequence([2, 6, 5], [1, 2]), sequence([2, 3, 3, 1, 0, 4], [1, 2, 3, 4]), columnsOf(1)),
    pair(sequence([0, 5, 1, 2], [2, 3]), sequence([0, 5, 6, 6], [2, 3]), columnsOf(2)),
    pair(sequence([4, 4, 1, 0], [1, 2, 3]), sequence([4, 2, 5, 3], [1, 2, 3]), columnsOf(3)),
  ],
  'pairs',
);

function columnsOf(i: number): Record<string, number[]> {
  return {
    score_margin: [[0.4, -1.2, 2.5, 0.1][i] as number],
    label: [[1, 0, 1, 0][i] as number],
    level: [[0, 1, 2, 2][i] as number],
    length_bucket: [[1, 1, 1, 3][i] as number],
    difficulty_bucket: [[1, 1, 2, 1][i] as number],
    attributes: (
      [
        [0.5, -1, 2, 0.25],
        [1, 1, -1e9, -1e9],
        [0, 0.5, 1, -2],
        [-1e9, -1e9, -1e9, -1e9],
      ] as const
    )[i]?.slice() as number[],
    quality: (
      [
        [2, 1],
        [1, 1],
        [-1, 0],
        [2, 0],
      ] as const
    )[i]?.slice() as number[],
  };
}

/** Chains of steps; within a chain every label is the outcome if `pure`. */
export const chains = (pure: boolean): ExampleSet =>
  exampleSet(
    [
      { sequences: [sequence([3, 1, 4, 1, 5, 2], [1, 2, 3, 4, 5], { 2: 1, 4: pure ? 1 : 0, 5: 1 })], columns: { outcome: [1] } },
      { sequences: [sequence([2, 6, 5, 3, 5], [1, 2, 3, 4], { 1: pure ? 0 : 1, 4: 0 })], columns: { outcome: [0] } },
      { sequences: [sequence([0, 4, 6, 6, 1, 3, 2], [2, 3, 4, 5, 6], { 3: 1, 6: 1 })], columns: { outcome: [1] } },
    ],
    `chains ${pure}`,
  );

/** The whole set as one batch: every sequence in a row of 8 tokens, or rows of 16 that are shared. */
export function batchOf(set: ExampleSet, rows?: number, size = set.examples.length): SequenceBatch {
  const batches = exampleBatches(set, { batch_size: size, ...(rows === undefined ? { context: 8 } : { context: 16, rows }) });
  if (batches.length !== 1) throw new Error(`${batches.length} batches`);
  return batches[0] as SequenceBatch;
}

/** The same examples in the opposite order. */
export const turned = (set: ExampleSet): ExampleSet => ({ ...set, examples: [...set.examples].reverse() });
