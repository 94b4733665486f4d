import { join } from 'node:path';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import type { PostTrainResult, PostTrainShared } from '../train/postTrain.js';
import { prefer } from '../train/prefer.js';
import { reward } from '../train/reward.js';
import { saveRewardHead } from '../train/rewardFolder.js';
import { sft } from '../train/sft.js';
import { checkConfig } from './config/check.js';
import { readVersions } from './machine.js';
import type { PostTrainConfig, PostTrainVerb } from './postTrain/config.js';
import { type PostTrainFigures, type PostTrainPlan, planPostTrain, unescaped } from './postTrain/plan.js';
import { dataOf, schemaOf, verbs } from './postTrain/verbs.js';
import type { Recipe } from './recipe.js';
import { exportWithTokenizer } from './training/exportModel.js';
import { identityOf, type TrainingIdentity } from './training/folder.js';
import {
  checkReporters,
  type FolderRun,
  runInFolder,
  type TrainingEvent,
  type TrainingHooks,
  type TrainingSummary,
} from './training/runInFolder.js';

export type PostTrainEvent = TrainingEvent<PostTrainFigures>;
export type PostTrainHooks = TrainingHooks<PostTrainEvent>;

/** What a command that learns from examples brings out. */
export interface PostTrainSummary extends TrainingSummary {
  readonly verb: PostTrainVerb;
  readonly loss_type: string;
  readonly validation_examples: number;
}

/** What would run: the configuration with every default settled. */
export interface PostTrainDryRun {
  readonly config: PostTrainConfig;
  readonly recipe: Recipe;
  readonly args: PostTrainPlan['args'];
  readonly figures: PostTrainFigures;
  readonly notes: readonly string[];
}

const outputOf = ({ config, verb, name }: PostTrainPlan): string =>
  config.output_dir ?? join('runs', `${verb}-${name.replace(/[^\w.+-]+/g, '-')}`);

function identityFor({ verb, recipe, task, config, losses }: PostTrainPlan): TrainingIdentity {
  const run = { recipe, seed: config.seed, task };
  return {
    testbed: verb,
    method: losses.patched.id,
    ...run,
    threads: config.threads ?? 0,
    versions: readVersions(),
    identity: identityOf(run),
    config,
  };
}

const planOf = async (verb: PostTrainVerb, config: object, { onEvent }: PostTrainHooks): Promise<PostTrainPlan> => {
  const checked = checkConfig(schemaOf(verbs[verb]), config) as PostTrainConfig;
  checkReporters(checked);
  return planPostTrain(verb, checked, { onStage: (what) => onEvent?.({ type: 'stage', what }) });
};

/** The plan alone, for --dry_run. */
export async function postTrainDryRun(verb: PostTrainVerb, config: object, hooks: PostTrainHooks = {}): Promise<PostTrainDryRun> {
  const plan = await planOf(verb, config, hooks);
  const { recipe, args, figures, notes } = plan;
  return { config: { ...plan.config, output_dir: outputOf(plan) }, recipe, args, figures, notes };
}

/** The language model without the parameters that the loss has for itself, and these. */
function parted({ objective, ...params }: ParamTree<NDArray>): { params: ParamTree<NDArray>; own: ParamTree<NDArray> } {
  return { params, own: (objective ?? {}) as ParamTree<NDArray> };
}

function train({ losses, optimizer, schedule }: PostTrainPlan, shared: PostTrainShared): Promise<PostTrainResult> {
  const recipe = { optimizer, schedule };
  switch (losses.slot) {
    case 'sft-loss':
      return sft({ ...shared, recipe: { ...recipe, losses: losses.chosen } });
    case 'preference-loss':
      return prefer({ ...shared, recipe: { ...recipe, losses: losses.chosen } });
    case 'reward-model':
      return reward({ ...shared, recipe: { ...recipe, rewards: losses.chosen } });
  }
}

/**
 * Fine-tunes, aligns or trains a reward model as a flat configuration of the command says: checkpoints, metrics.jsonl and at the end the model in Hugging
 * Face's layout in output_dir. Goes on with the run that the folder holds, to the same bits.
 *
 * @throws UsageError for what the configuration asks wrongly, and where output_dir holds another run or another process writes it
 */
export async function postTrainRun(verb: PostTrainVerb, config: object, hooks: PostTrainHooks = {}): Promise<PostTrainSummary> {
  const plan = await planOf(verb, config, hooks);
  const { start, losses, figures, args, max_length } = plan;
  const output_dir = outputOf(plan);
  const step_separator = dataOf(losses).kind === 'stepwise' ? unescaped(plan.config.step_separator ?? '\n') : null;
  const exportModel = async (folder: string, all: ParamTree<NDArray>): Promise<void> => {
    const { params, own } = parted(all);
    const { config: decoder, tokenizer, stop_token_ids } = start;
    await exportWithTokenizer(folder, { config: decoder, params, tokenizer, eos_token_ids: stop_token_ids });
    if (losses.slot === 'reward-model') await saveRewardHead(folder, { patched: losses.patched, own, max_length, step_separator });
  };
  const run: FolderRun = {
    output_dir,
    identity: identityFor(plan),
    config: plan.config,
    steps: args.max_steps,
    parameters: figures.parameters,
    exportModel,
    onStart: (resumed_step) => {
      hooks.onEvent?.({ type: 'start', output_dir, figures, resumed_step });
      for (const text of plan.notes) hooks.onEvent?.({ type: 'note', text });
    },
    onMetrics: (line) => hooks.onEvent?.({ type: 'metrics', line }),
  };
  const summary = await runInFolder(run, async (loop) => {
    const result = await train(plan, {
      ...loop,
      model: start.model,
      start: start.params,
      args,
      data: plan.data,
      evaluation: plan.evaluation,
      seed: plan.config.seed,
      ...(plan.config.threads === undefined ? {} : { threads: plan.config.threads }),
      ...(hooks.signal ? { signal: hooks.signal } : {}),
    });
    if (result.status === 'finished') await exportModel(output_dir, { ...result.params, objective: result.own });
    return result;
  });
  return { ...summary, verb, loss_type: losses.patched.id, validation_examples: figures.validation_examples };
}
