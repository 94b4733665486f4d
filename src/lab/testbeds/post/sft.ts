import { datasetFromRows } from '../../../data/dataset/memory.js';
import { encodeExamples } from '../../../data/examples/index.js';
import { Draws } from '../../../data/probes/draws.js';
import { countdownSolutions, createDataset, type TaskDataset, taskTokenizer } from '../../../data/tasks/index.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import { digitTokens } from '../../../train/sft/dist2loss.js';
import { tasksBase } from '../../bases/index.js';
import { once } from '../pretraining.js';
import type { EvaluationSet } from '../rl/evaluate.js';
import { taskProblems } from '../rl/problems.js';
import { demonstrationLoss, demonstrations, sampled } from './measures.js';
import { greedyError, numberRows } from './numbers.js';
import type { BatchShape, PostTestbedAbout } from './testbed.js';

/** Fine-tuning from the base that knows countdown, chain arithmetic, parity and sorting. */

const testSeed = 12;
const trainSeed = (seed: number): number => 100 + seed;

const newTask = (split: 'train' | 'test', size: number, seed: number): TaskDataset =>
  createDataset('addition', { size, seed, split, min_difficulty: 2, max_difficulty: 2 });

/** Problems that the base is good at, by the split that it has not seen. */
const oldTasks = (size: number): readonly TaskDataset[] => [
  createDataset('sorting', { size, seed: testSeed, split: 'test', min_difficulty: 2, max_difficulty: 3 }),
  createDataset('parity', { size, seed: testSeed, split: 'test', min_difficulty: 4, max_difficulty: 6 }),
  createDataset('chain-arithmetic', { size, seed: testSeed, split: 'test', min_difficulty: 1, max_difficulty: 2 }),
];

const forgettingBatch: BatchShape = { batch_size: 24, context: 32 };
const forgettingTests = { fresh: newTask('test', 64, testSeed), old: oldTasks(24) };

const forgettingSets = once(
  async (): Promise<readonly EvaluationSet[]> => [
    { name: '', problems: taskProblems([forgettingTests.fresh]), samples: 4, max_completion_length: 28 },
    { name: 'old', problems: taskProblems(forgettingTests.old), samples: 4, max_completion_length: 32 },
  ],
);
const oldDemonstrations = once(() => demonstrations(forgettingTests.old, forgettingBatch.context));

const forgetting: PostTestbedAbout = {
  id: 'sft-forgetting',
  summary: 'a model of four tasks is fine-tuned on addition by columns; the mean of its pass@1 there and on three of the old tasks',
  slot: 'sft-loss',
  metric: 'eval_retained',
  better: 'higher',
  margin: 0.02,
  base: tasksBase,
  args: { max_steps: 100 },
  batch: forgettingBatch,
  rates: [3e-4, 1e-3, 3e-3],
  measured: [forgettingTests.fresh.fingerprint, forgettingTests.old.map((d) => d.fingerprint), newTask('train', 1000, 0).fingerprint],
  data: async (_, seed) => ({
    train: await demonstrations([newTask('train', 1000, trainSeed(seed))], forgettingBatch.context),
    evaluation: await demonstrations([forgettingTests.fresh], forgettingBatch.context),
  }),
  measure: async (trained) => {
    const scores = await sampled(trained, await forgettingSets());
    const retained = ((scores['eval_pass@1'] as number) + (scores['eval_old/pass@1'] as number)) / 2;
    return {
      ...scores,
      eval_retained: retained,
      eval_old_loss: await demonstrationLoss(trained, await oldDemonstrations(), forgettingBatch),
    };
  },
};

/** A share of the solutions, and of the characters in these, that are replaced by other characters of solutions. */
const noise = { solutions: 0.5, characters: 0.1 } as const;
const solutionCharacters = '0123456789+-*=;#';

/** A worked solution with some characters replaced; the same for the same key. */
export function noisySolution(solution: string, draws: Draws): string {
  if (draws.unit() >= noise.solutions) return solution;
  const other = (): string => solutionCharacters[draws.below(solutionCharacters.length)] as string;
  return [...solution].map((character) => (draws.unit() < noise.characters ? other() : character)).join('');
}

const noisyBatch: BatchShape = { batch_size: 16, context: 64 };
const chains = (split: 'train' | 'test', size: number, seed: number): TaskDataset =>
  createDataset('chain-arithmetic', { size, seed, split, min_difficulty: 5, max_difficulty: 5 });
const chainsTest = chains('test', 80, testSeed);

const noisy: PostTestbedAbout = {
  id: 'sft-noisy',
  summary:
    'chain arithmetic of 5 operations, where half of the training solutions have 10% of their characters replaced; loss on clean ones',
  slot: 'sft-loss',
  metric: 'eval_loss',
  better: 'lower',
  margin: 0.01,
  base: tasksBase,
  args: { max_steps: 80 },
  batch: noisyBatch,
  rates: [1e-4, 3e-4, 1e-3],
  measured: [chainsTest.fingerprint, chains('train', 1200, 0).fingerprint, noise, solutionCharacters],
  data: async (_, seed) => {
    const dataset = chains('train', 1200, trainSeed(seed));
    const key = foldIn(randomKey(trainSeed(seed)), 0x6e6f6973);
    const rows = Array.from({ length: dataset.length }, (_, i) => {
      const { prompt, solution } = dataset.entry(i);
      return { prompt, completion: noisySolution(solution, new Draws(foldIn(key, i))) };
    });
    return {
      train: await encodeExamples(datasetFromRows(rows), taskTokenizer(), { kind: 'sft', max_length: noisyBatch.context }),
      evaluation: await demonstrations([chainsTest], noisyBatch.context),
    };
  },
  measure: (trained) => sampled(trained, [{ name: '', problems: taskProblems([chainsTest]), samples: 4, max_completion_length: 48 }]),
};

const numbersBatch: BatchShape = { batch_size: 32, context: 16 };
const numbersTest = numberRows({ size: 256, seed: testSeed, split: 'test' });

const numbers: PostTestbedAbout = {
  id: 'sft-numbers',
  summary: 'a noisy function of two numbers from 200 examples; mean distance of the number that is written from the true value',
  slot: 'sft-loss',
  metric: 'eval_error',
  better: 'lower',
  margin: 0.2,
  base: tasksBase,
  args: { max_steps: 150 },
  batch: numbersBatch,
  settings: digitTokens(taskTokenizer()),
  rates: [3e-4, 1e-3, 3e-3],
  measured: [numbersTest, numberRows({ size: 200, seed: 0, split: 'train' })],
  data: async (_, seed) => {
    const encode = (rows: typeof numbersTest) =>
      encodeExamples(datasetFromRows(rows), taskTokenizer(), { kind: 'sft', max_length: numbersBatch.context });
    return { train: await encode(numberRows({ size: 200, seed: trainSeed(seed), split: 'train' })), evaluation: await encode(numbersTest) };
  },
  measure: async (trained) => ({ eval_error: await greedyError(trained, numbersTest) }),
};

const manyBatch: BatchShape = { batch_size: 24, context: 48 };
const ways = (split: 'train' | 'test', size: number, seed: number) =>
  taskProblems([createDataset('countdown', { size, seed, split, min_difficulty: 3, max_difficulty: 3 })], {
    keep: ({ metadata }) => countdownSolutions(metadata.numbers as number[], metadata.target as number).length >= 3,
    ...(split === 'test' ? { limit: 48 } : {}),
  });
const manyTest = once(async () => ways('test', 600, testSeed));

const manyAnswers: PostTestbedAbout = {
  id: 'sft-many-answers',
  summary: 'countdown problems with three ways at least, one of them shown for each; different right answers among 16 samples',
  slot: 'sft-loss',
  metric: 'eval_distinct_right',
  better: 'higher',
  margin: 0.05,
  base: tasksBase,
  args: { max_steps: 100 },
  batch: manyBatch,
  rates: [1e-4, 3e-4, 1e-3],
  measured: ['countdown with three ways', 2400, 600, testSeed],
  data: async (_, seed) => {
    const rows = ways('train', 2400, trainSeed(seed)).rows.map(({ prompt, solution }) => ({ prompt, completion: solution as string }));
    return { train: await encodeExamples(datasetFromRows(rows), taskTokenizer(), { kind: 'sft', max_length: manyBatch.context }) };
  },
  measure: async (trained) => {
    const scores = await sampled(trained, [{ name: '', problems: await manyTest(), samples: 16, max_completion_length: 40 }]);
    return { ...scores, eval_distinct_right: scores['eval_distinct@16'] as number };
  },
};

export const sftAbouts: readonly PostTestbedAbout[] = [forgetting, noisy, numbers, manyAnswers];
