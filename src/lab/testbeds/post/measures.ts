import { datasetFromRows } from '../../../data/dataset/memory.js';
import { type ExampleSet, encodeExamples, exampleBatches } from '../../../data/examples/index.js';
import type { TaskDataset } from '../../../data/tasks/index.js';
import { taskTokenizer } from '../../../data/tasks/index.js';
import { ObjectiveScorer } from '../../../train/objectiveScorer.js';
import { rewardModels } from '../../../train/reward/index.js';
import { patchReward, RewardScorer } from '../../../train/reward.js';
import { sftObjective } from '../../../train/sft/index.js';
import { patchSft } from '../../../train/sft.js';
import { chosenOf } from '../../composition.js';
import { type EvaluationSet, evaluatePolicy } from '../rl/evaluate.js';
import type { BatchShape, TrainedModel } from './testbed.js';

/** Metrics of sampled completions, named as those of the loop: `eval_pass@1`. */
export async function sampled(trained: TrainedModel, sets: readonly EvaluationSet[]): Promise<Record<string, number>> {
  const { threads, signal } = trained;
  const scores = await evaluatePolicy(trained, sets, { threads, ...(signal ? { signal } : {}) });
  return Object.fromEntries(Object.entries(scores).map(([name, value]) => [`eval_${name}`, value]));
}

/** Cross-entropy of a model on demonstrations. */
export async function demonstrationLoss({ model, params, threads }: TrainedModel, set: ExampleSet, batch: BatchShape): Promise<number> {
  const scorer = new ObjectiveScorer(model, { method: sftObjective(patchSft([])), settings: {} }, { threads });
  try {
    return (await scorer.score(params, exampleBatches(set, batch))).loss as number;
  } finally {
    scorer.dispose();
  }
}

/** Does something with a trained reward model. */
export async function withScorer<T>(trained: TrainedModel, use: (scorer: RewardScorer) => Promise<T>): Promise<T> {
  const { model, params, own, method, threads } = trained;
  const scorer = new RewardScorer(model, patchReward(chosenOf(rewardModels, method.method, method.settings)), { params, own }, { threads });
  try {
    return await use(scorer);
  } finally {
    scorer.dispose();
  }
}

/** Area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half. NaN where there are none of either. */
export function areaUnderRoc(scores: readonly number[], positive: readonly boolean[]): number {
  const order = scores.map((score, i) => ({ score, positive: positive[i] === true })).sort((a, b) => a.score - b.score);
  let [rankSum, at] = [0, 0];
  while (at < order.length) {
    let end = at;
    while (end < order.length && order[end]?.score === order[at]?.score) end++;
    // equal scores share the mean of their ranks
    for (let i = at; i < end; i++) rankSum += order[i]?.positive ? (at + 1 + end) / 2 : 0;
    at = end;
  }
  const positives = order.filter((o) => o.positive).length;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * (order.length - positives));
}

/** Worked solutions of problems as demonstrations. */
export const demonstrations = (datasets: readonly TaskDataset[], context: number): Promise<ExampleSet> =>
  encodeExamples(
    datasetFromRows(
      datasets.flatMap((dataset) =>
        Array.from({ length: dataset.length }, (_, i) => {
          const { prompt, solution } = dataset.entry(i);
          return { prompt, completion: solution };
        }),
      ),
    ),
    taskTokenizer(),
    { kind: 'sft', max_length: context },
  );
