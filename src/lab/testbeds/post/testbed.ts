import type { Settings } from '../../../contracts/index.js';
import { type ExampleSet, exampleBatches, exampleSource } from '../../../data/examples/index.js';
import type { CausalModel, SerializableTokenizer } from '../../../models/index.js';
import type { ParamTree } from '../../../nn/param.js';
import type { ScheduleMethod } from '../../../optim/schedule/index.js';
import type { OptimizerMethod } from '../../../optim/transform/index.js';
import type { NDArray } from '../../../tensor/array.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import type { PostTrainArguments, PostTrainResult, PostTrainShared } from '../../../train/postTrain.js';
import { preferences } from '../../../train/prefer/index.js';
import { prefer } from '../../../train/prefer.js';
import { rewardModels } from '../../../train/reward/index.js';
import { reward } from '../../../train/reward.js';
import { sfts } from '../../../train/sft/index.js';
import { sft } from '../../../train/sft.js';
import { type BaseModel, baseIdentity, type LoadedBase, loadBase } from '../../bases/index.js';
import { chosenOf } from '../../composition.js';
import { partOf, type Recipe, type RecipePart } from '../../recipe.js';
import { hashOf } from '../../runStore.js';
import type { Testbed } from '../testbed.js';
import { tunedSettings } from '../tuned.js';

/** The slots whose methods learn from examples. */
export type PostSlot = 'sft-loss' | 'preference-loss' | 'reward-model';

/** What a run learns from. */
export interface PostData {
  readonly train: ExampleSet;
  /** measured after training by the loop itself; its metrics begin with `eval_` */
  readonly evaluation?: ExampleSet;
}

/** How long the sequences of a batch are, and how many share a row. */
export interface BatchShape {
  readonly batch_size: number;
  readonly context: number;
  readonly rows?: number;
}

/** A model as a run leaves it. */
export interface TrainedModel {
  readonly model: CausalModel;
  readonly params: ParamTree<NDArray>;
  /** the head of a reward model */
  readonly own: ParamTree<NDArray>;
  readonly tokenizer: SerializableTokenizer;
  /** the method of the testbed's slot and its settings */
  readonly method: RecipePart;
  readonly threads: number;
  readonly signal?: AbortSignal;
}

/** A testbed that goes on from a base model with examples. */
export interface PostTestbedAbout extends Pick<Testbed, 'id' | 'summary' | 'metric' | 'better' | 'margin'> {
  readonly slot: PostSlot;
  readonly base: BaseModel;
  readonly args: PostTrainArguments;
  readonly batch: BatchShape;
  /** settings that all methods of the slot share where they know them */
  readonly settings?: Settings;
  /** learning rates to try; the middle one is taken where nothing was tuned */
  readonly rates: readonly [number, number, number];
  /** names everything beside the training data that the measures follow from */
  readonly measured: unknown;
  /** Examples of a seed: another seed draws other ones, all from the training problems. Called once for each seed. */
  data(start: LoadedBase, seed: number, threads: number): Promise<PostData>;
  /** further metrics, beside the loop's own */
  measure?(trained: TrainedModel, loop: Readonly<Record<string, number>>): Promise<Record<string, number>>;
}

/** The method that a slot starts from. */
const roots: Readonly<Record<PostSlot, string>> = { 'sft-loss': 'sft', 'preference-loss': 'dpo', 'reward-model': 'bradley-terry' };

/** Runs the loop of a slot with the recipe's methods. */
function train(slot: PostSlot, recipe: Recipe, shared: PostTrainShared): Promise<PostTrainResult> {
  const { method, settings } = recipe[slot] as RecipePart;
  const common = { optimizer: partOf<OptimizerMethod>(recipe, 'optimizer'), schedule: partOf<ScheduleMethod>(recipe, 'schedule') };
  switch (slot) {
    case 'sft-loss':
      return sft({ ...shared, recipe: { ...common, losses: chosenOf(sfts, method, settings) } });
    case 'preference-loss':
      return prefer({ ...shared, recipe: { ...common, losses: chosenOf(preferences, method, settings) } });
    case 'reward-model':
      return reward({ ...shared, recipe: { ...common, rewards: chosenOf(rewardModels, method, settings) } });
  }
}

/** Makes a testbed of its description. */
export function postTestbed(about: PostTestbedAbout): Testbed {
  const { id, summary, metric, better, margin, slot, base, args, batch, settings = {}, rates, measured } = about;
  const made = new Map<number, Promise<PostData>>();
  const dataOf = (start: LoadedBase, seed: number, threads: number): Promise<PostData> => {
    const data = made.get(seed) ?? about.data(start, seed, threads);
    made.set(seed, data);
    return data;
  };
  return {
    id,
    summary,
    metric,
    better,
    margin,
    cost: 'tokens',
    base: { [slot]: roots[slot], optimizer: 'adamw', schedule: 'linear' },
    shared: { optimizer: { weight_decay: 0, adam_beta2: 0.98, learning_rate: rates[1] }, [slot]: settings },
    tuned: tunedSettings(id),
    tuning: { seeds: [1000], candidates: { adamw: rates.map((learning_rate) => ({ learning_rate })) } },
    task: async () => ({ base: { id: base.id, identity: baseIdentity(base) }, args, batch, data: hashOf(measured) }),
    steps: () => args.max_steps,
    run: async (recipe, { seed, threads, signal, onMetrics }) => {
      const start = await loadBase(base, { threads });
      const { model, tokenizer } = start;
      const { train: examples, evaluation } = await dataOf(start, seed, threads);
      const result = await train(slot, recipe, {
        model,
        start: start.params,
        args: { warmup_ratio: 0.05, ...args },
        data: exampleSource(examples, { ...batch, key: foldIn(randomKey(seed), 1) }),
        ...(evaluation ? { evaluation: exampleBatches(evaluation, batch) } : {}),
        seed,
        threads,
        ...(signal ? { signal } : {}),
        ...(onMetrics ? { onMetrics } : {}),
      });
      const { status, params, own, ledger } = result;
      if (status === 'diverged') return { status, metrics: {}, ledger };
      const method = recipe[slot] as RecipePart;
      const further = await about.measure?.(
        { model, params, own, tokenizer, method, threads, ...(signal ? { signal } : {}) },
        result.metrics,
      );
      const metrics = { ...result.metrics, ...further };
      onMetrics?.({ global_step: args.max_steps, ...metrics });
      return { status, metrics, ledger };
    },
  };
}
