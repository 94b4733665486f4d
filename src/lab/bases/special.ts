import { createDataset, type TaskDataset, type TaskDocument, type TaskEntry } from '../../data/tasks/index.js';
import { hashOf } from '../runStore.js';
import type { BaseModel } from './base.js';
import {
  confidentDocument,
  corpusContext,
  divisionDocument,
  labelledParity,
  resumedDocument,
  thoughtDocument,
  twoFormsDocument,
} from './forms.js';
import { earlyBase, furtherTraining, smallDecoder, tasksBase } from './index.js';

/** Base models that write in the forms that some methods of reinforcement learning are made for. */

interface FormAbout extends Pick<BaseModel, 'id' | 'summary'> {
  readonly start: BaseModel;
  readonly dataset: TaskDataset;
  document(entry: TaskEntry, i: number): TaskDocument;
  /** default: that of furtherTraining */
  readonly max_steps?: number;
}

/** documents that stand for all of them in a base's identity */
const shown = 48;

function formBase({ id, summary, start, dataset, document, max_steps = furtherTraining.max_steps }: FormAbout): BaseModel {
  const documents = (count: number): TaskDocument[] => Array.from({ length: count }, (_, i) => document(dataset.entry(i), i));
  return {
    id,
    summary,
    config: smallDecoder,
    training: { ...furtherTraining, max_steps },
    start,
    data: { tasks: dataset.id, fingerprint: dataset.fingerprint, form: hashOf(documents(shown)) },
    documents: () => documents(dataset.length),
  };
}

const arithmetic = (seed: number, from: number, to: number): TaskDataset =>
  createDataset('chain-arithmetic', { size: 12_000, seed, min_difficulty: from, max_difficulty: to });

export const confidentBase = formBase({
  id: 'confident-s',
  summary: 'early-s, fine-tuned on chain arithmetic with a random confidence behind the answer',
  start: earlyBase,
  dataset: arithmetic(31, 1, 4),
  document: confidentDocument,
});

export const twoFormsBase = formBase({
  id: 'two-forms-s',
  summary: 'tasks-s, fine-tuned on chain arithmetic in two forms with errors that depend on the form',
  start: tasksBase,
  dataset: arithmetic(32, 1, 4),
  document: twoFormsDocument,
});

export const thoughtsBase = formBase({
  id: 'thoughts-s',
  summary: 'tasks-s, fine-tuned to go on with arithmetic and its answer behind thoughts of any completeness',
  start: tasksBase,
  dataset: arithmetic(33, 2, 5),
  document: (entry, i) => thoughtDocument(corpusContext(entry, i), i),
});

export const divisionBase = formBase({
  id: 'division-s',
  summary: 'tasks-s, fine-tuned to divide chain arithmetic into parts and to solve part by part',
  start: tasksBase,
  dataset: arithmetic(34, 1, 5),
  document: divisionDocument,
  // values without their operations are further from what tasks-s writes than the other forms are
  max_steps: 900,
});

export const labelledBase = formBase({
  id: 'labelled-s',
  summary: 'tasks-s, fine-tuned on parity with a letter for every bit, also from within a solution',
  start: tasksBase,
  dataset: createDataset('parity', { size: 12_000, seed: 35, min_difficulty: 4, max_difficulty: 9 }),
  document: (entry, i) => resumedDocument(labelledParity(entry), i),
});
