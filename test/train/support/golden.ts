import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { exampleBatches, exampleSet, type SequenceBatch } from '../../../src/data/examples/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { NDArray } from '../../../src/tensor/index.js';

interface Figures {
  readonly method: string;
  readonly settings: Readonly<Record<string, number>>;
  readonly loss: number;
  readonly gradient: readonly number[];
}

interface Golden {
  readonly shape: readonly [number, number, number];
  readonly logits: readonly number[];
  readonly reference: readonly number[];
  readonly targets: readonly (readonly number[])[];
  readonly columns: Readonly<Record<string, readonly number[]>>;
  readonly entropy: number;
  readonly mean_token_accuracy: number;
  readonly sft: Readonly<Record<string, Figures>>;
  readonly preference: Readonly<Record<string, Figures>>;
}

const path = fileURLToPath(new URL('../../../fixtures/train/posttraining.json', import.meta.url));
export const golden = JSON.parse(readFileSync(path, 'utf8')) as Golden;

const states = (values: readonly number[]): ParamTree<NDArray> => ({
  states: new NDArray('f32', golden.shape, Float32Array.from(values)),
});
export const policy = states(golden.logits);
export const reference = states(golden.reference);

/** The rows of the figures as examples of k sequences; the logits belong to the rows, so the order matters. */
export function goldenBatch(each: 1 | 2): SequenceBatch {
  const [B, T] = golden.shape;
  const rows = golden.targets.map((row) => {
    const ids = Int32Array.from([0, ...row.map((t) => Math.max(t, 0))].slice(0, T));
    const trained = Uint8Array.from(ids, (_, t) => (t > 0 && (row[t - 1] as number) >= 0 ? 1 : 0));
    return { ids, trained };
  });
  const examples = Array.from({ length: B / each }, (_, e) => ({
    sequences: rows.slice(e * each, (e + 1) * each),
    columns: each === 2 ? Object.fromEntries(Object.entries(golden.columns).map(([name, v]) => [name, [v[e] as number]])) : {},
  }));
  const [batch] = exampleBatches(exampleSet(examples, 'golden'), { batch_size: B / each, context: T });
  return batch as SequenceBatch;
}
