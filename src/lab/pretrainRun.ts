import { join } from 'node:path';
import { decoderModel } from '../models/index.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { pretrain } from '../train/pretrain.js';
import { readVersions } from './machine.js';
import type { PretrainConfig } from './pretrain/config.js';
import { type PretrainFigures, type PretrainPlan, planPretrain } from './pretrain/plan.js';
import { slotDefaults } from './pretrain/recipe.js';
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

export type PretrainEvent = TrainingEvent<PretrainFigures>;
export type PretrainHooks = TrainingHooks<PretrainEvent>;
export type PretrainSummary = TrainingSummary;

/** What would run: the configuration with every default settled, and what it costs. */
export interface PretrainDryRun {
  readonly config: PretrainConfig;
  readonly model: PretrainPlan['decoder'];
  readonly recipe: PretrainPlan['recipe'];
  readonly args: PretrainPlan['args'];
  readonly packing: unknown;
  readonly figures: PretrainFigures;
}

/** Where a run goes if the user does not say. */
const outputOf = ({ config, name }: PretrainPlan): string =>
  config.output_dir ?? join('runs', `pretrain-${name.replace(/[^\w.+-]+/g, '-')}`);

/** The methods that differ from the usual ones, joined by +. */
const methodName = ({ recipe }: PretrainPlan): string => {
  const changed = Object.entries(recipe).filter(
    ([slot, { method }]) => method !== (slotDefaults as Record<string, string>)[slot] || slot === 'optimizer',
  );
  return changed.map(([, { method }]) => method).join('+');
};

function identityFor(plan: PretrainPlan): TrainingIdentity {
  const { recipe, task, config } = plan;
  const run = { recipe, seed: config.seed, task };
  return {
    testbed: 'pretrain',
    method: methodName(plan),
    ...run,
    threads: config.threads ?? 0,
    versions: readVersions(),
    identity: identityOf(run),
    config,
  };
}

/** The plan alone, for --dry_run. */
export async function pretrainDryRun(config: PretrainConfig, hooks: PretrainHooks = {}): Promise<PretrainDryRun> {
  checkReporters(config);
  const plan = await planPretrain(config, { signal: hooks.signal, onStage: (what) => hooks.onEvent?.({ type: 'stage', what }) });
  plan.close();
  const { decoder, recipe, args, task, figures } = plan;
  return { config: { ...config, output_dir: outputOf(plan) }, model: decoder, recipe, args, packing: task.packing, figures };
}

/**
 * Pretrains a language model as a configuration says: checkpoints, metrics.jsonl and at the end the model in Hugging Face's layout in output_dir. Goes on
 * with the run that the folder holds, to the same bits as without the interruption.
 *
 * @throws UsageError for what the configuration asks wrongly, and where output_dir holds another run or another process writes it
 */
export async function pretrainRun(config: PretrainConfig, hooks: PretrainHooks = {}): Promise<PretrainSummary> {
  checkReporters(config);
  const plan = await planPretrain(config, { signal: hooks.signal, onStage: (what) => hooks.onEvent?.({ type: 'stage', what }) });
  return runPlan(plan, hooks).finally(plan.close);
}

async function runPlan(plan: PretrainPlan, hooks: PretrainHooks): Promise<PretrainSummary> {
  const { config, decoder, tokenizer, figures, args } = plan;
  const output_dir = outputOf(plan);
  const exportModel = (folder: string, params: ParamTree<NDArray>): Promise<void> =>
    exportWithTokenizer(folder, { config: decoder, params, tokenizer });
  const run: FolderRun = {
    output_dir,
    identity: identityFor(plan),
    config,
    steps: args.max_steps,
    parameters: figures.parameters,
    exportModel,
    onStart: (resumed_step) => hooks.onEvent?.({ type: 'start', output_dir, figures, resumed_step }),
    onMetrics: (line) => hooks.onEvent?.({ type: 'metrics', line }),
  };
  return runInFolder(run, async (loop) => {
    const result = await pretrain({
      ...loop,
      model: decoderModel(decoder),
      recipe: plan.methods,
      args,
      data: plan.data,
      evaluation: plan.evaluation,
      seed: config.seed,
      ...(plan.start ? { start: plan.start } : {}),
      ...(config.threads === undefined ? {} : { threads: config.threads }),
      ...(hooks.signal ? { signal: hooks.signal } : {}),
    });
    if (result.status === 'finished') {
      await exportModel(output_dir, result.params);
      if (result.ema) await exportModel(join(output_dir, 'ema'), result.ema);
    }
    return result;
  });
}
