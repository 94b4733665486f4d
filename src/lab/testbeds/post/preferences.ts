import type { ExampleSet } from '../../../data/examples/index.js';
import { exampleSource } from '../../../data/examples/index.js';
import { completionUtility, type PreferencePair, type TaskDataset } from '../../../data/tasks/index.js';
import { linear } from '../../../optim/schedule/linear.js';
import { adamw } from '../../../optim/transform/adamw.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import { withReferenceLogps } from '../../../train/prefer.js';
import { bradleyTerry } from '../../../train/reward/bradleyTerry.js';
import { patchReward, RewardScorer, reward } from '../../../train/reward.js';
import type { LoadedBase } from '../../bases/index.js';
import { preferencesBase } from '../../bases/preferences.js';
import { once } from '../pretraining.js';
import type { EvaluatedCompletion, EvaluationSet } from '../rl/evaluate.js';
import { taskProblems } from '../rl/problems.js';
import { sampled } from './measures.js';
import { encodePairs, type PairOptions, pairsBatch, pairsOf, promptsOf } from './pairs.js';
import type { PostTestbedAbout, TrainedModel } from './testbed.js';

/** Preferences of the users of the preference world: what a policy's responses are truly worth after training on pairs. */

const testSeed = 12;
const trainSeed = (seed: number): number => 100 + seed;

/** A dataset with the entries that have these numbers. */
function selected({ dataset, numbers }: ReturnType<typeof promptsOf>): TaskDataset {
  return { ...dataset, length: numbers.length, entry: (i) => dataset.entry(numbers[i] as number) };
}

const prompts = selected(promptsOf(96, testSeed, 'test'));
const isLegal = ({ text, row }: EvaluatedCompletion): boolean => completionUtility(text, prompts.entry(row.index as number)) !== null;
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Mean true score of sampled responses, where what is no response is drawn again, and the share of responses. */
const utilitySets = once(
  async (): Promise<readonly EvaluationSet[]> => [
    {
      name: '',
      problems: taskProblems([prompts]),
      samples: 8,
      max_completion_length: 16,
      metrics: {
        utility: (completions) => mean(completions.filter(isLegal).map(({ score }) => score)),
        legal: (completions) => mean(completions.map((c) => (isLegal(c) ? 1 : 0))),
      },
    },
  ],
);

/** What a policy's responses are worth, and how many of its samples are responses at all. */
export const measure = async (trained: TrainedModel): Promise<Record<string, number>> => sampled(trained, await utilitySets());

/** The reference's log-probabilities are computed once: training then holds one model. */
const withReference = (set: ExampleSet, { model, params }: LoadedBase, threads: number): Promise<ExampleSet> =>
  withReferenceLogps(set, model, params, { ...pairsBatch, threads });

const cleanPairs: PairOptions = { size: 192, seed: testSeed, split: 'test' };
const noise = { flip: 0.2, temperature: 0.5, min_margin: 0 } as const;

type Common = Pick<
  PostTestbedAbout,
  'slot' | 'metric' | 'better' | 'margin' | 'base' | 'args' | 'settings' | 'batch' | 'rates' | 'measure'
>;
const common: Common = {
  slot: 'preference-loss',
  metric: 'eval_utility',
  better: 'higher',
  margin: 0.02,
  base: preferencesBase,
  args: { max_steps: 100 },
  settings: { beta: 0.3 },
  batch: pairsBatch,
  rates: [1e-4, 3e-4, 6e-4],
  measure,
};

const noisy: PostTestbedAbout = {
  ...common,
  id: 'preference-noise',
  summary: 'pairs of which a fifth are turned round and many are nearly ties; true score of sampled responses',
  measured: [noise, cleanPairs, 2400, 'two users'],
  data: async (start, seed, threads) => ({
    train: await withReference(await encodePairs(pairsOf({ size: 2400, seed: trainSeed(seed), split: 'train', ...noise })), start, threads),
    evaluation: await withReference(await encodePairs(pairsOf(cleanPairs)), start, threads),
  }),
};

/** Shares of the pairs with true labels, and how the model that labels the others is trained on them. */
const weak = { pairs: 1500, labelled: 0.2, steps: 40, learning_rate: 1e-3 } as const;

/** Pairs as a weak reward model labels them, and how much higher it rates the response that it prefers. */
async function weakLabels(
  start: LoadedBase,
  seed: number,
  threads: number,
): Promise<{ readonly pairs: readonly PreferencePair[]; readonly margins: readonly number[] }> {
  const all = pairsOf({ size: weak.pairs, seed: trainSeed(seed), split: 'train' });
  const known = all.slice(0, Math.round(weak.labelled * all.length));
  const rest = all.slice(known.length);
  const { params, own } = await reward({
    model: start.model,
    start: start.params,
    args: { max_steps: weak.steps, warmup_ratio: 0.05 },
    data: exampleSource(await encodePairs(known), { ...pairsBatch, key: foldIn(randomKey(seed), 4) }),
    seed,
    threads,
    recipe: {
      optimizer: { method: adamw, settings: { ...adamw.defaults, weight_decay: 0, learning_rate: weak.learning_rate } },
      schedule: { method: linear, settings: linear.defaults },
      rewards: [{ method: bradleyTerry, settings: bradleyTerry.defaults }],
    },
  });
  const scorer = new RewardScorer(start.model, patchReward([]), { params, own }, { threads });
  try {
    const scores = await scorer.score(await encodePairs(rest), pairsBatch);
    const margins = scores.map(([chosen = 0, rejected = 0]) => chosen - rejected);
    return {
      pairs: rest.map((pair, i) =>
        (margins[i] as number) >= 0 ? pair : { ...pair, chosen: pair.rejected, rejected: pair.chosen, mislabelled: true },
      ),
      margins: margins.map(Math.abs),
    };
  } finally {
    scorer.dispose();
  }
}

const weakLabelled: PostTestbedAbout = {
  ...common,
  id: 'preference-weak-labels',
  summary: 'a reward model that has seen 300 true pairs labels 1200 others, on which the policy is trained; true score of responses',
  measured: [weak, cleanPairs, 'two users'],
  data: async (start, seed, threads) => {
    const { pairs, margins } = await weakLabels(start, seed, threads);
    const tests = pairsOf(cleanPairs);
    return {
      train: await withReference(await encodePairs(pairs, { score_margin: margins }), start, threads),
      evaluation: await withReference(await encodePairs(tests, { score_margin: tests.map(() => 1) }), start, threads),
    };
  },
};

export const preferenceAbouts: readonly PostTestbedAbout[] = [noisy, weakLabelled];
