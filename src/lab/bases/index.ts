import { createDataset, type TaskDataset, type TaskDocument, type TaskEntry, taskMixture } from '../../data/tasks/index.js';
import type { DecoderConfig } from '../../models/index.js';
import type { BaseModel } from './base.js';
import { modeDocument, noisyDocument, verboseDocument } from './styles.js';
import type { BaseTraining } from './train.js';

export { type BaseModel, baseIdentity, type LoadedBase, loadBase, makeBase } from './base.js';

/** A decoder of 0.34M parameters over the characters of the tasks. */
export const smallDecoder: DecoderConfig = {
  vocab_size: 100,
  hidden_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 3,
  intermediate_size: 256,
  max_position_embeddings: 256,
};

const training: BaseTraining = { max_steps: 1200, rows: 16, context: 128, learning_rate: 4e-3, seed: 1 };

/** Further fine-tuning of the common base on one form of answers. */
export const furtherTraining: BaseTraining = { max_steps: 300, rows: 16, context: 128, learning_rate: 2e-3, seed: 2 };

const mixed = (): { readonly dataset: TaskDataset; readonly weight: number }[] => [
  { dataset: createDataset('countdown', { size: 30_000, seed: 7, min_difficulty: 3, max_difficulty: 3 }), weight: 5 },
  { dataset: createDataset('chain-arithmetic', { size: 30_000, seed: 8, min_difficulty: 1, max_difficulty: 4 }), weight: 3 },
  { dataset: createDataset('parity', { size: 10_000, seed: 9, min_difficulty: 2, max_difficulty: 8 }), weight: 1 },
  { dataset: createDataset('sorting', { size: 10_000, seed: 10, min_difficulty: 2, max_difficulty: 4 }), weight: 1 },
];

const mixtureOf = () => taskMixture(mixed(), { size: 40_000, seed: 3 });

const taskMixtureBase = (id: string, summary: string, max_steps: number): BaseModel => ({
  id,
  summary,
  config: smallDecoder,
  training: { ...training, max_steps },
  data: { tasks: 'countdown 3, chain-arithmetic 1-4, parity 2-8, sorting 2-4', fingerprint: mixtureOf().fingerprint },
  documents: () => {
    const mixture = mixtureOf();
    return Array.from({ length: mixture.length }, (_, i): TaskDocument => mixture.document(i));
  },
});

/** Where most comparisons start: it knows how answers are written, and is often wrong in countdown. */
export const tasksBase = taskMixtureBase(
  'tasks-s',
  'a decoder of 0.34M parameters that has seen worked solutions of countdown, chain arithmetic, parity and sorting',
  training.max_steps,
);

/** The same with fewer steps, which is often wrong in arithmetic too. */
export const earlyBase = taskMixtureBase('early-s', 'as tasks-s, with 700 instead of 1200 steps', 700);

/** A base that goes on from tasks-s with chain arithmetic in another form. */
function arithmeticBase(
  about: Pick<BaseModel, 'id' | 'summary'>,
  levels: readonly [from: number, to: number],
  document: (entry: TaskEntry, i: number) => TaskDocument,
): BaseModel {
  const dataset = createDataset('chain-arithmetic', { size: 12_000, seed: 21, min_difficulty: levels[0], max_difficulty: levels[1] });
  return {
    ...about,
    config: smallDecoder,
    training: furtherTraining,
    start: tasksBase,
    data: { tasks: `chain-arithmetic ${levels.join('-')}`, form: about.id, fingerprint: dataset.fingerprint },
    documents: () => Array.from({ length: dataset.length }, (_, i) => document(dataset.entry(i), i)),
  };
}

export const verboseBase = arithmeticBase(
  { id: 'verbose-s', summary: 'tasks-s, fine-tuned on chain arithmetic with redundant checks' },
  [1, 4],
  verboseDocument,
);

/** It knows arithmetic from tasks-s and has seen careless solutions since: reinforcement learning can bring out what it knows. */
export const noisyBase = arithmeticBase(
  { id: 'noisy-s', summary: 'tasks-s, fine-tuned on chain arithmetic with a wrong result in three of ten steps' },
  [1, 6],
  noisyDocument,
);

export const modesBase = arithmeticBase(
  { id: 'modes-s', summary: 'tasks-s, fine-tuned on chain arithmetic with ! and steps, or . and the answer at once' },
  [1, 4],
  modeDocument,
);

/** Bases whose weights come with the package (assets/bases, made by tools/makeBases.ts). The others are trained where they are first used, in a minute or two. */
export const shippedBases: readonly BaseModel[] = [tasksBase, noisyBase];
