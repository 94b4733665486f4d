import { type ExampleSet, exampleBatches, type SequenceBatch } from '../data/examples/index.js';
import type { CausalModel } from '../models/causalModel.js';
import type { ParamTree } from '../nn/param.js';
import type { ScheduleMethod } from '../optim/schedule/index.js';
import type { OptimizerMethod } from '../optim/transform/index.js';
import type { NDArray } from '../tensor/array.js';
import { compile } from '../tensor/compile/compile.js';
import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { batchView } from './objective/lookAhead.js';
import type { BatchTensors } from './objective/slot.js';
import { applyPatches, type Patched } from './patch.js';
import { type PostTrainResult, type PostTrainShared, postTrain } from './postTrain.js';
import {
  type RewardMethod,
  rewardColumns,
  rewardData,
  rewardModels,
  rewardObjective,
  rewardOutputs,
  rewardParts,
  rewardScores,
} from './reward/index.js';
import type { Chosen } from './step.js';

/** Which methods train. Reward models are applied one after the other to `bradley-terry`. */
export interface RewardRecipe {
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly rewards: readonly Chosen<RewardMethod>[];
}

export interface RewardOptions extends PostTrainShared {
  readonly recipe: RewardRecipe;
}

/** Puts reward models together. @throws VitroError where two replace the same part */
export const patchReward = (rewards: readonly Chosen<RewardMethod>[]): Patched<RewardMethod> =>
  applyPatches({ methods: rewardModels, parts: rewardParts, root: 'bradley-terry' }, rewards);

/** Trains a reward model: the language model and the head, which comes back as `own`. */
export function reward({ recipe, ...shared }: RewardOptions): Promise<PostTrainResult> {
  const { optimizer, schedule, rewards } = recipe;
  const patched = patchReward(rewards);
  const { carries } = shared.data;
  if (rewardData(patched) === 'steps' && !carries.includes('step_labels'))
    throw new VitroError(`${patched.id} learns from steps: encode the data with kind stepwise`);
  for (const [name, what] of Object.entries(rewardColumns(patched)))
    if (!carries.includes(name)) throw new VitroError(`${patched.id} reads the column ${name} (${what}), which the examples lack`);
  return postTrain({ ...shared, optimizer, schedule, objective: { method: rewardObjective(patched), settings: {} }, frozen: {} });
}

/** A trained reward model at work. */
export class RewardScorer {
  readonly #compiled;
  readonly #outputs;

  constructor(
    readonly model: CausalModel,
    readonly patched: Patched<RewardMethod>,
    /** the language model's parameters and the head's */
    readonly weights: { readonly params: ParamTree<NDArray>; readonly own: ParamTree<NDArray> },
    options: { readonly threads?: number } = {},
  ) {
    const given = (params: ParamTree<Tensor>, own: ParamTree<Tensor>, batch: BatchTensors, extra: Readonly<Record<string, Tensor>>) => ({
      model,
      params,
      own,
      batch,
      extra,
      hidden: () => model.hidden(params, batch.inputs, batchView(batch)),
    });
    this.#compiled = compile(
      (params: ParamTree<Tensor>, own: ParamTree<Tensor>, batch: BatchTensors, extra: Readonly<Record<string, Tensor>>) =>
        rewardScores(patched, given(params, own, batch, extra)),
      { name: 'rewards', ...options },
    );
    this.#outputs = compile(
      (params: ParamTree<Tensor>, own: ParamTree<Tensor>, batch: BatchTensors, extra: Readonly<Record<string, Tensor>>) =>
        rewardOutputs(patched, given(params, own, batch, extra)),
      { name: 'reward head', ...options },
    );
  }

  /** Rewards of every sequence of every example. */
  async score(set: ExampleSet, options: { readonly batch_size: number; readonly context: number }): Promise<number[][]> {
    const rewards: number[][] = [];
    for (const { extra, ...batch } of exampleBatches(set, options)) {
      const { params, own } = this.weights;
      const scores = (await this.#compiled.run(params as never, own as never, batch as never, extra as never)) as unknown as NDArray;
      const numbers = scores.toNumbers();
      const present = (extra.present as NDArray).toNumbers();
      present.forEach((there, e) => {
        if (there) rewards.push(numbers.slice(e * set.sequences, (e + 1) * set.sequences));
      });
    }
    return rewards;
  }

  /** What the head says of a batch: ratings, attributes, or logits of steps. */
  async outputs({ extra, ...batch }: SequenceBatch): Promise<NDArray> {
    const { params, own } = this.weights;
    return (await this.#outputs.run(params as never, own as never, batch as never, extra as never)) as unknown as NDArray;
  }

  dispose(): void {
    this.#compiled.dispose();
    this.#outputs.dispose();
  }
}
