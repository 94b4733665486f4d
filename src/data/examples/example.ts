import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import type { Batch } from '../stream/batch.js';

/** The tokens of one text, and which of them are trained on. */
export interface Sequence {
  readonly ids: Int32Array;
  /** 1 where the token is a target, 0 where it is context; the first token is never a target */
  readonly trained: Uint8Array;
  /** numbers that belong to single tokens, by name, e.g. `step_labels` */
  readonly values?: Readonly<Record<string, Float32Array>>;
}

/** What is learnt from together: one text, a chosen and a rejected one, or a text and the texts it is compared with. */
export interface Example {
  readonly sequences: readonly Sequence[];
  /** numbers that belong to the example, by name, e.g. `label` */
  readonly columns?: Readonly<Record<string, readonly number[]>>;
}

/** Examples of one shape. */
export interface ExampleSet {
  readonly examples: readonly Example[];
  /** sequences of every example */
  readonly sequences: number;
  /** width of every column */
  readonly columns: Readonly<Record<string, number>>;
  /** names of the values of tokens */
  readonly values: readonly string[];
  /** names everything that determines the examples */
  readonly fingerprint: string;
}

/**
 * A batch of examples. `extra` holds, with E examples of k sequences, S = E k:
 * `sequence_ids` i32 [B, T] which sequence a position belongs to, S for padding; `ends` i32 [S] where its last token stands in the flattened batch;
 * `present` f32 [E] 0 for places that no example fills; `example_ids` i32 [E] numbers of the examples in the set; every column f32 [E, width]; every
 * value of tokens f32 [B, T].
 */
export interface SequenceBatch extends Batch {
  readonly extra: Readonly<Record<string, NDArray>>;
}

/**
 * Joins examples to a set.
 * @throws VitroError where they differ in their shape, are empty, or name a column that batches use themselves
 */
export function exampleSet(examples: readonly Example[], fingerprint: string): ExampleSet {
  const [first] = examples;
  if (!first) throw new VitroError('there are no examples: all rows were empty, or longer than max_length leaves room for');
  const columns = Object.fromEntries(Object.entries(first.columns ?? {}).map(([name, values]) => [name, values.length]));
  const values = Object.keys(first.sequences[0]?.values ?? {});
  for (const name of [...Object.keys(columns), ...values])
    if (['sequence_ids', 'ends', 'present', 'example_ids'].includes(name))
      throw new VitroError(`${name} is a name that batches use themselves; rename the column`);
  for (const [i, example] of examples.entries()) {
    if (example.sequences.length !== first.sequences.length)
      throw new VitroError(`example ${i} has ${example.sequences.length} sequences, the first has ${first.sequences.length}`);
    for (const [name, width] of Object.entries(columns))
      if (example.columns?.[name]?.length !== width)
        throw new VitroError(`example ${i} lacks ${width} numbers in the column ${name}, which the first has`);
    for (const { ids, trained } of example.sequences)
      if (ids.length === 0 || trained.length !== ids.length)
        throw new VitroError(`example ${i} has a sequence of ${ids.length} tokens with ${trained.length} marks`);
  }
  return { examples, sequences: first.sequences.length, columns, values, fingerprint };
}

/** Tokens that are trained on, over all examples. */
export const trainedTokens = ({ examples }: ExampleSet): number =>
  examples.reduce((n, { sequences }) => n + sequences.reduce((k, { trained }) => k + trained.reduce((a, b) => a + b, 0), 0), 0);
