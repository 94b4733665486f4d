import { basename, dirname, join, resolve } from 'node:path';
import type { Ledger } from '../contracts/index.js';
import { decoderModel, saveModel, saveTokenizer } from '../models/index.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { CheckpointStore } from '../train/checkpoints.js';
import { type MetricsLine, pretrain } from '../train/pretrain.js';
import { describeMachine, readVersions } from './machine.js';
import { UsageError } from './names.js';
import type { PretrainConfig } from './pretrain/config.js';
import { identityOf, OutputFolder, type TrainingIdentity } from './pretrain/folder.js';
import { type PretrainFigures, type PretrainPlan, planPretrain } from './pretrain/plan.js';
import { slotDefaults } from './pretrain/recipe.js';

export type PretrainEvent =
  /** what is being prepared */
  | { readonly type: 'stage'; readonly what: string }
  | { readonly type: 'start'; readonly output_dir: string; readonly figures: PretrainFigures; readonly resumed_step: number | null }
  | { readonly type: 'metrics'; readonly line: MetricsLine };

export interface PretrainHooks {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: PretrainEvent) => void;
}

/** What `vitro pretrain` brings out. */
export interface PretrainSummary {
  readonly output_dir: string;
  readonly status: 'finished' | 'diverged';
  /** the step that this call went on from; null where it began at the start */
  readonly resumed_step: number | null;
  /** whether the run had ended before this call, so that nothing was trained */
  readonly was_finished: boolean;
  readonly steps: number;
  readonly parameters: number;
  /** final metrics by name */
  readonly metrics: Readonly<Record<string, number>>;
  readonly ledger: Ledger;
  /** the last checkpoint; null where the run diverged before there was one */
  readonly checkpoint: string | null;
}

/** What would run: the configuration with every default settled, and what it costs. */
export interface PretrainDryRun {
  readonly config: PretrainConfig;
  readonly model: PretrainPlan['decoder'];
  readonly recipe: PretrainPlan['recipe'];
  readonly args: PretrainPlan['args'];
  readonly packing: unknown;
  readonly figures: PretrainFigures;
}

const reporters = ['jsonl', 'none'];

function checkReporters({ report_to }: PretrainConfig): void {
  for (const name of [report_to].flat())
    if (!reporters.includes(name))
      throw new UsageError(
        `report_to: "${name}" is not available; available are ${reporters.join(', ')}. metrics.jsonl has a line of JSON for every logged step`,
      );
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

/** The step of the checkpoint that the user names, or undefined where the newest is meant. */
function wantedStep(output_dir: string, { resume_from_checkpoint: from }: PretrainConfig): number | undefined {
  if (typeof from !== 'string') return undefined;
  const step = /^checkpoint-(\d+)$/.exec(basename(from))?.[1];
  if (step === undefined || resolve(dirname(from)) !== resolve(output_dir))
    throw new UsageError(
      `resume_from_checkpoint: "${from}" is not allowed; it must be true, false or a folder checkpoint-N in ${output_dir}. To start from the weights of another run, give model_name_or_path`,
    );
  return Number(step);
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
  const { config } = plan;
  const output_dir = outputOf(plan);
  const identity = identityFor(plan);
  const { decoder, tokenizer, figures, args } = plan;
  const { bos_token_id, eos_token_id, pad_token_id } = tokenizer;
  const exportModel = async (folder: string, params: ParamTree<NDArray>): Promise<void> => {
    await saveModel(folder, { config: decoder, params, tokens: { bos_token_id, eos_token_id, pad_token_id } });
    await saveTokenizer(folder, tokenizer);
  };
  const checkpoints = new CheckpointStore(output_dir, {
    identity: identity.identity,
    save_total_limit: config.save_total_limit,
    exportModel: async (folder, params) => {
      output.syncMetrics();
      await exportModel(folder, params);
    },
  });
  const step = wantedStep(output_dir, config);
  const output = await OutputFolder.open(output_dir, identity, {
    overwrite: config.overwrite_output_dir,
    resume: config.resume_from_checkpoint !== false,
    removeCheckpoints: () => checkpoints.removeAfter(),
  });
  const summary = (
    rest: Pick<PretrainSummary, 'status' | 'resumed_step' | 'was_finished' | 'metrics' | 'ledger' | 'checkpoint'>,
  ): PretrainSummary => ({
    output_dir,
    steps: args.max_steps,
    parameters: figures.parameters,
    ...rest,
  });
  const newest = async (): Promise<string | null> => {
    const last = (await checkpoints.steps()).at(-1);
    return last === undefined ? null : checkpoints.pathOf(last);
  };
  try {
    await checkpoints.removeTemporary();
    if (step !== undefined) {
      const there = await checkpoints.steps();
      if (!there.includes(step))
        throw new UsageError(`${output_dir} has no checkpoint-${step}; it has ${there.map((n) => `checkpoint-${n}`).join(', ') || 'none'}`);
      await checkpoints.removeAfter(step);
      await output.reopen();
    } else if (output.finished) {
      const { status, result, ledger } = output.finished;
      return summary({ status, resumed_step: null, was_finished: true, metrics: result, ledger, checkpoint: await newest() });
    }
    let resumed_step: number | null = null;
    let started = false;
    const start = (): void => {
      if (!started) hooks.onEvent?.({ type: 'start', output_dir, figures, resumed_step });
      started = true;
    };
    if ((await checkpoints.steps()).length === 0) {
      output.startMetrics([]);
      start();
    }
    const result = await pretrain({
      model: decoderModel(decoder),
      recipe: plan.methods,
      args,
      data: plan.data,
      evaluation: plan.evaluation,
      seed: config.seed,
      checkpoints,
      ...(plan.start ? { start: plan.start } : {}),
      ...(config.threads === undefined ? {} : { threads: config.threads }),
      ...(hooks.signal ? { signal: hooks.signal } : {}),
      onMetrics: (line) => {
        output.log(line);
        hooks.onEvent?.({ type: 'metrics', line });
      },
      onResume: ({ global_step, log_history }) => {
        resumed_step = global_step;
        output.startMetrics(log_history);
        start();
      },
    });
    const { status, metrics, ledger } = result;
    if (status === 'finished') {
      await exportModel(output_dir, result.params);
      if (result.ema) await exportModel(join(output_dir, 'ema'), result.ema);
    }
    await output.finish({ status, result: metrics, ledger, machine: describeMachine() });
    return summary({ status, resumed_step, was_finished: false, metrics, ledger, checkpoint: await newest() });
  } finally {
    await output.close();
  }
}
