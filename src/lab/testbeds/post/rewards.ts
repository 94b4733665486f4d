import { datasetFromRows } from '../../../data/dataset/memory.js';
import { type ExampleSet, encodeExamples, exampleBatches } from '../../../data/examples/index.js';
import { createDataset, type PreferencePair, type TaskDataset, taskTokenizer } from '../../../data/tasks/index.js';
import type { NDArray } from '../../../tensor/array.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import { tasksBase } from '../../bases/index.js';
import { preferencesBase } from '../../bases/preferences.js';
import { wrongChain } from './chains.js';
import { areaUnderRoc, withScorer } from './measures.js';
import {
  candidatesOf,
  encodePairs,
  missingRatings,
  type PairOptions,
  pairsBatch,
  pairsOf,
  promptsOf,
  ratingsOf,
  scoreOf,
} from './pairs.js';
import type { BatchShape, PostTestbedAbout, TrainedModel } from './testbed.js';

/** Reward models of the preference world, and of the steps of chain arithmetic. */

const testSeed = 12;
const trainSeed = (seed: number): number => 100 + seed;

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

/** True score of the response that a reward model picks out of `n`, mean over prompts, and that of a random one. */
async function bestOf(trained: TrainedModel, n: number, maxFillers: number): Promise<Record<string, number>> {
  const { dataset, numbers } = promptsOf(64, testSeed, 'test');
  const choices = numbers.map((i) => {
    const entry = dataset.entry(i);
    return { entry, candidates: candidatesOf(entry, n, maxFillers, i) };
  });
  // every example holds two candidates
  const pairs = choices.flatMap(({ entry: { prompt }, candidates }) =>
    Array.from({ length: n / 2 }, (_, k) => ({ prompt, chosen: candidates[2 * k] as string, rejected: candidates[2 * k + 1] as string })),
  );
  const rewards = (await withScorer(trained, async (scorer) => scorer.score(await encodePairs(pairs), pairsBatch))).flat();
  const picked = choices.map(({ entry, candidates }, p) => {
    const own = rewards.slice(p * n, (p + 1) * n);
    return scoreOf(dataset, candidates[own.indexOf(Math.max(...own))] as string, entry);
  });
  const any = choices.map(({ entry, candidates }) => mean(candidates.map((c) => scoreOf(dataset, c, entry))));
  return { eval_best_of_n: mean(picked), random_of_n: mean(any) };
}

const cue = { length_cue: 0.9, min_margin: 1 } as const;
const cuedPairs = (seed: number): PreferencePair[] => pairsOf({ size: 1200, seed, split: 'train', ...cue });
/** one pair in so many has ratings of its attributes */
const ratedEvery = 3;
const fairPairs: PairOptions = { size: 192, seed: testSeed, split: 'test', length_cue: 0.5, min_margin: 1 };
const best = { n: 8, fillers: 4 } as const;

const lengthCue: PostTestbedAbout = {
  id: 'reward-length-cue',
  summary: 'pairs whose better response is the longer one 9 times in 10; true score of the best of 8 where length says nothing',
  slot: 'reward-model',
  metric: 'eval_best_of_n',
  better: 'higher',
  margin: 0.02,
  base: preferencesBase,
  args: { max_steps: 75 },
  batch: pairsBatch,
  rates: [3e-4, 1e-3, 2e-3],
  measured: [cue, ratedEvery, fairPairs, best, 1200, 'two users'],
  data: async (_, seed) => {
    const pairs = cuedPairs(trainSeed(seed));
    const attributes = pairs.map((pair, i) => (i % ratedEvery === 0 ? ratingsOf(pair) : [...missingRatings, ...missingRatings]));
    const tests = pairsOf(fairPairs);
    return {
      train: await encodePairs(pairs, { attributes }),
      evaluation: await encodePairs(tests, { attributes: tests.map(ratingsOf) }),
    };
  },
  measure: (trained) => bestOf(trained, best.n, best.fillers),
};

/** Bad, middling or good: the third of the way from the worst response to the best one. */
const qualityOf = (dataset: TaskDataset, completion: string, { entry }: PreferencePair): number =>
  Math.min(2, Math.floor(3 * scoreOf(dataset, completion, entry)));

const closePairs = { min_margin: 1, flip: 0.1 } as const;
const labelled: PairOptions = { size: 192, seed: testSeed, split: 'test', min_margin: 1 };

function withQuality(pairs: readonly PreferencePair[]): Promise<ExampleSet> {
  const { dataset } = promptsOf(1, testSeed, 'test');
  const quality = pairs.map((pair) => [qualityOf(dataset, pair.chosen, pair), qualityOf(dataset, pair.rejected, pair)]);
  // labels of quality are given where they do not contradict the pair
  return encodePairs(pairs, { quality: quality.map(([c = -1, r = -1]) => (c >= r ? [c, r] : [-1, -1])) });
}

const quality: PostTestbedAbout = {
  id: 'reward-quality',
  summary: 'pairs, one in ten labelled wrongly, with the quality of both responses as bad, middling or good; accuracy on clean pairs',
  slot: 'reward-model',
  metric: 'eval_accuracy',
  better: 'higher',
  margin: 0.02,
  base: preferencesBase,
  args: { max_steps: 75 },
  batch: pairsBatch,
  rates: [3e-4, 1e-3, 2e-3],
  measured: [closePairs, labelled, 1200, 'two users'],
  data: async (_, seed) => ({
    train: await withQuality(pairsOf({ size: 1200, seed: trainSeed(seed), split: 'train', ...closePairs })),
    evaluation: await withQuality(pairsOf(labelled)),
  }),
};

const stepsBatch: BatchShape = { batch_size: 32, context: 48 };
const chains = (split: 'train' | 'test', size: number, seed: number): TaskDataset =>
  createDataset('chain-arithmetic', { size, seed, split, min_difficulty: 3, max_difficulty: 4 });

/** Worked solutions and chains with a slip in turn: steps from the slip on are wrong, and so is the outcome. */
export function stepRows(split: 'train' | 'test', size: number, seed: number) {
  const dataset = chains(split, size, seed);
  const key = randomKey(seed);
  return Array.from({ length: size }, (_, i) => {
    const entry = dataset.entry(i);
    const wrong = i % 2 === 0 ? null : wrongChain(entry, foldIn(key, i));
    const completions = [...(wrong?.steps ?? entry.steps)];
    return {
      prompt: entry.prompt,
      completions,
      labels: completions.map((_step, k) => wrong === null || k < wrong.first_wrong),
      outcome: wrong === null ? 1 : 0,
    };
  });
}

const encodeSteps = (rows: ReturnType<typeof stepRows>): Promise<ExampleSet> =>
  encodeExamples(datasetFromRows(rows), taskTokenizer(), {
    kind: 'stepwise',
    max_length: stepsBatch.context,
    step_separator: ';',
    columns: ['outcome'],
  });

/** Chance that a right step is rated above a wrong one: of all steps, and of the slips alone. */
async function stepAreas(trained: TrainedModel, set: ExampleSet): Promise<Record<string, number>> {
  const judged = await withScorer(trained, async (scorer) => {
    const found: { readonly score: number; readonly right: boolean; readonly slip: boolean }[] = [];
    for (const batch of exampleBatches(set, stepsBatch)) {
      const [scores, labels] = [(await scorer.outputs(batch)).toNumbers(), (batch.extra.step_labels as NDArray).toNumbers()];
      const ids = (batch.extra.sequence_ids as NDArray).toNumbers();
      const wrongSequences = new Set<number>();
      labels.forEach((label, at) => {
        const id = ids[at] as number;
        if (label < 0 || id >= stepsBatch.batch_size) return;
        found.push({ score: scores[at] as number, right: label === 1, slip: label === 0 && !wrongSequences.has(id) });
        if (label === 0) wrongSequences.add(id);
      });
    }
    return found;
  });
  const area = (steps: typeof judged): number =>
    areaUnderRoc(
      steps.map((s) => s.score),
      steps.map((s) => s.right),
    );
  return { eval_step_auc: area(judged), eval_slip_auc: area(judged.filter(({ right, slip }) => right || slip)) };
}

const stepTests = { size: 256, seed: testSeed } as const;

const steps: PostTestbedAbout = {
  id: 'reward-steps',
  summary: 'chains of arithmetic, half of them with a slip: how well right steps are told from wrong ones',
  slot: 'reward-model',
  metric: 'eval_step_auc',
  better: 'higher',
  margin: 0.02,
  base: tasksBase,
  args: { max_steps: 90 },
  batch: stepsBatch,
  rates: [3e-4, 1e-3, 3e-3],
  measured: [stepTests, 1500, 'slips of 1, 2, 3 and 10 in chains of 3 and 4'],
  data: async (_, seed) => ({ train: await encodeSteps(stepRows('train', 1500, trainSeed(seed))) }),
  measure: async (trained) => stepAreas(trained, await encodeSteps(stepRows('test', stepTests.size, stepTests.seed))),
};

export const rewardAbouts: readonly PostTestbedAbout[] = [lengthCue, quality, steps];
