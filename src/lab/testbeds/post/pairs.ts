import { datasetFromRows } from '../../../data/dataset/memory.js';
import { type ExampleSet, encodeExamples } from '../../../data/examples/index.js';
import { Draws } from '../../../data/probes/draws.js';
import {
  createDataset,
  type PreferencePair,
  preferenceLexicon,
  preferencePairs,
  preferenceRatings,
  scoreCompletion,
  type TaskDataset,
  type TaskEntry,
  taskTokenizer,
  writeSolution,
} from '../../../data/tasks/index.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import { preferenceLevels } from '../../bases/preferences.js';
import type { BatchShape } from './testbed.js';

/** Pairs and prompts of the preference world, of its first two users: few enough that a thousand pairs say what they like. */

const users = 2;
const isShown = ({ metadata }: TaskEntry): boolean => (metadata.user as number) < users;

export interface PairOptions {
  readonly size: number;
  readonly seed: number;
  readonly split: 'train' | 'test';
  readonly length_cue?: number;
  readonly flip?: number;
  readonly temperature?: number;
  readonly min_margin?: number;
  readonly min_difficulty?: number;
  readonly max_difficulty?: number;
  readonly max_words?: number;
  /** leaves prompts out */
  readonly keep?: (entry: TaskEntry) => boolean;
}

/** The first `size` pairs of the users that are shown. */
export function pairsOf({ size, keep = () => true, ...options }: PairOptions): PreferencePair[] {
  // entries are made when they are asked for: a bound costs nothing
  const all = preferencePairs({ ...preferenceLevels, ...options, size: 1024 * size });
  const found: PreferencePair[] = [];
  for (let i = 0; found.length < size; i++) {
    const entry = all.tasks.entry(i);
    if (isShown(entry) && keep(entry)) found.push(all.pair(i));
  }
  return found;
}

/** Problems that are measured, with the numbers of those of the users that are shown. */
export function promptsOf(
  size: number,
  seed: number,
  split: 'train' | 'test',
): { readonly dataset: TaskDataset; readonly numbers: readonly number[] } {
  const dataset = createDataset('preference-world', { size: 64 * size, seed, split, ...preferenceLevels });
  const numbers: number[] = [];
  for (let i = 0; numbers.length < size; i++) if (isShown(dataset.entry(i))) numbers.push(i);
  return { dataset, numbers };
}

/** Place of a response between the worst and the best one to its prompt, 0 to 1. */
export const scoreOf = (dataset: TaskDataset, completion: string, entry: TaskEntry): number => scoreCompletion(dataset, completion, entry);

export const pairsBatch: BatchShape = { batch_size: 24, context: 30 };

/** Pairs as examples, with columns of numbers. */
export function encodePairs(
  pairs: readonly Pick<PreferencePair, 'prompt' | 'chosen' | 'rejected'>[],
  columns: Readonly<Record<string, readonly (number | readonly number[])[]>> = {},
  context = pairsBatch.context,
): Promise<ExampleSet> {
  const rows = pairs.map(({ prompt, chosen, rejected }, i) => ({
    prompt,
    chosen,
    rejected,
    ...Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[i]])),
  }));
  return encodeExamples(datasetFromRows(rows), taskTokenizer(), { kind: 'preference', max_length: context, columns: Object.keys(columns) });
}

/** Scores of four attributes that stand for no score. */
export const missingRatings: readonly number[] = [-1e9, -1e9, -1e9, -1e9];

/** What the attributes add to the utility of both responses, scaled to about 1: eight numbers. */
export const ratingsOf = ({ chosen, rejected, entry }: PreferencePair): number[] =>
  [chosen, rejected].flatMap((completion) => (preferenceRatings(completion.slice(1), entry) ?? missingRatings).map((r) => r / 2));

/** Random responses to a prompt, each with 0 to `maxFillers` fillers: what a length says about the utility is nothing. */
export function candidatesOf(entry: TaskEntry, count: number, maxFillers: number, key: number): string[] {
  const draws = new Draws(foldIn(randomKey(key), entry.prompt.length));
  const { fillers } = preferenceLexicon(entry.metadata.world as number, entry.metadata.single_letters === true);
  const offered = entry.metadata.offered as string[];
  return Array.from({ length: count }, () => {
    const words = draws.distinct(1 + draws.below(entry.metadata.max_words as number), offered.length).map((i) => offered[i] as string);
    const padding = draws.below(maxFillers + 1);
    for (let n = 0; n < padding; n++) words.splice(draws.below(words.length + 1), 0, fillers[draws.below(fillers.length)] as string);
    return writeSolution([], words.join(' '));
  });
}
