import { datasetFromRows } from '../../../data/dataset/memory.js';
import { type ExampleSet, encodeExamples } from '../../../data/examples/index.js';
import { createDataset, type TaskDataset, type TaskEntry, taskTokenizer } from '../../../data/tasks/index.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import { withReferenceLogps } from '../../../train/prefer.js';
import { tasksBase } from '../../bases/index.js';
import { taskProblems } from '../rl/problems.js';
import { chainText, type WrongChain, wrongChain } from './chains.js';
import { sampled } from './measures.js';
import type { BatchShape, PostTestbedAbout } from './testbed.js';

/** Pairs of three levels out of worked solutions and chains with a slip: whole chains, single steps, and groups of steps. */

const testSeed = 12;
const trainSeed = (seed: number): number => 100 + seed;
const batch: BatchShape = { batch_size: 16, context: 48 };
const problems = 600;

const chains = (split: 'train' | 'test', size: number, seed: number): TaskDataset =>
  createDataset('chain-arithmetic', { size, seed, split, min_difficulty: 4, max_difficulty: 4 });
const tests = chains('test', 96, testSeed);

export interface LevelPair {
  readonly [column: string]: string | number;
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
  /** 0 whole chain, 1 step, 2 group */
  readonly level: number;
  readonly length_bucket: number;
  readonly difficulty_bucket: number;
}

/** the tokenizer's own mark; pieces of chains have none */
const end = '<eos>';

/** Steps from `from` to before `to` as they stand in a completion. */
const piece = (steps: readonly string[], from: number, to: number): string =>
  steps
    .slice(from, to)
    .map((step, i) => `${step}${from + i === steps.length - 1 ? '#' : ';'}`)
    .join('');

/** The three pairs of a problem: the group begins up to `before` steps ahead of the slip and has `length` steps, fewer where the chain ends. */
export function levelPairs(entry: TaskEntry, wrong: WrongChain, { length, before }: { length: number; before: number }): LevelPair[] {
  const { prompt, steps, solution } = entry;
  const at = wrong.first_wrong;
  const from = Math.max(0, at - before);
  const to = Math.min(steps.length, from + length);
  const ask = (until: number): string => `${prompt}${piece(steps, 0, until)}`;
  const share = (to - at) / (to - from);
  return [
    { prompt, chosen: `${solution}${end}`, rejected: `${chainText(wrong)}${end}`, level: 0, length_bucket: 0, difficulty_bucket: 0 },
    {
      prompt: ask(at),
      chosen: piece(steps, at, at + 1),
      rejected: piece(wrong.steps, at, at + 1),
      level: 1,
      length_bucket: 0,
      difficulty_bucket: 0,
    },
    {
      prompt: ask(from),
      chosen: piece(steps, from, to),
      rejected: piece(wrong.steps, from, to),
      level: 2,
      length_bucket: to - from,
      // the larger the share of wrong steps, the clearer the difference
      difficulty_bucket: share === 1 ? 1 : share > 0.5 ? 2 : 3,
    },
  ];
}

/** Pairs of all levels for the first `size` problems of a seed. */
export function subtaskPairs(split: 'train' | 'test', size: number, seed: number): LevelPair[] {
  const dataset = chains(split, size, seed);
  return Array.from({ length: size }, (_, i) => {
    const entry = dataset.entry(i);
    const wrong = wrongChain(entry, foldIn(randomKey(seed), i));
    const length = 1 + (i % 3);
    return wrong ? levelPairs(entry, wrong, { length, before: Math.floor(i / 3) % length }) : [];
  }).flat();
}

const encode = (pairs: readonly LevelPair[]): Promise<ExampleSet> =>
  encodeExamples(datasetFromRows(pairs), taskTokenizer(), {
    kind: 'preference',
    max_length: batch.context,
    append_eos: false,
    columns: ['level', 'length_bucket', 'difficulty_bucket'],
  });

export const subtasks: PostTestbedAbout = {
  id: 'preference-subtasks',
  summary: 'chain arithmetic of 4 operations from pairs of whole chains, of steps and of groups of steps; pass@1',
  slot: 'preference-loss',
  metric: 'eval_success',
  better: 'higher',
  margin: 0.02,
  base: tasksBase,
  args: { max_steps: 75 },
  batch,
  rates: [3e-5, 1e-4, 3e-4],
  measured: [tests.fingerprint, chains('train', problems, 0).fingerprint, 'slips of 1, 2, 3 and 10; groups of 1 to 3'],
  data: async ({ model, params }, seed, threads) => ({
    train: await withReferenceLogps(await encode(subtaskPairs('train', problems, trainSeed(seed))), model, params, { ...batch, threads }),
  }),
  measure: async (trained) => {
    const scores = await sampled(trained, [{ name: '', problems: taskProblems([tests]), samples: 4, max_completion_length: 40 }]);
    return { ...scores, eval_success: scores['eval_pass@1'] as number };
  },
};
