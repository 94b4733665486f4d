import { join } from 'node:path';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import type { CompletionRow } from '../train/rl/log.js';
import { trainRl } from '../train/rl.js';
import { checkConfig } from './config/check.js';
import { readVersions } from './machine.js';
import type { Recipe } from './recipe.js';
import { CompletionsFile } from './rl/completions.js';
import type { RlConfig, RlVerb } from './rl/config.js';
import { planRl, type RlFigures, type RlPlan } from './rl/plan.js';
import { rlSchema } from './rl/recipe.js';
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

export type RlEvent =
  | TrainingEvent<RlFigures>
  /** a few completions of a step */
  | { readonly type: 'completions'; readonly step: number; readonly rows: readonly CompletionRow[] };
export type RlHooks = TrainingHooks<RlEvent>;

/** What a command of reinforcement learning brings out. */
export interface RlSummary extends TrainingSummary {
  /** the composition of methods */
  readonly rl: string;
  /** metrics of the held-out problems before the first step; absent where that was another call, or was not asked for */
  readonly before?: Readonly<Record<string, number>>;
  /** with `profile`: seconds in compiled functions, in all steps of this call and in evaluations */
  readonly profile?: Readonly<Record<string, number>>;
}

/** What would run: the configuration with every default settled. */
export interface RlDryRun {
  readonly config: RlConfig;
  readonly recipe: Recipe;
  readonly applied: readonly string[];
  readonly args: RlPlan['args'];
  readonly figures: RlFigures;
}

const outputOf = ({ config, verb, name }: RlPlan): string =>
  config.output_dir ?? join('runs', `${verb}-${name.replace(/[^\w.+-]+/g, '-')}`);

function identityFor({ verb, recipe, task, config, rl }: RlPlan): TrainingIdentity {
  const run = { recipe, seed: config.seed, task };
  return {
    testbed: verb,
    method: rl.id,
    ...run,
    threads: config.threads ?? 0,
    versions: readVersions(),
    identity: identityOf(run),
    config,
  };
}

async function planOf(verb: RlVerb, config: object, { onEvent }: RlHooks): Promise<RlPlan> {
  const checked = checkConfig(rlSchema(verb), config) as unknown as RlConfig;
  checkReporters(checked);
  return planRl(verb, checked, (what) => onEvent?.({ type: 'stage', what }));
}

/** The plan alone, for --dry_run. */
export async function rlDryRun(verb: RlVerb, config: object, hooks: RlHooks = {}): Promise<RlDryRun> {
  const plan = await planOf(verb, config, hooks);
  plan.rewards.dispose();
  const { recipe, args, figures, rl } = plan;
  return { config: { ...plan.config, output_dir: outputOf(plan) }, recipe, applied: rl.applied, args, figures };
}

/** Every so many steps completions are shown; 0 = never. */
const shownEvery = ({ config, args }: RlPlan): number => {
  const { log_completions: asked = true } = config;
  if (typeof asked === 'number') return asked;
  return asked ? Math.max(1, Math.round(args.max_steps / 10)) : 0;
};

/**
 * Reinforcement learning as a flat configuration says: checkpoints, metrics.jsonl, completions.jsonl and at the end the model in Hugging Face's layout in
 * output_dir. Goes on with the run that the folder holds, to the same bits.
 *
 * @throws UsageError for what the configuration asks wrongly, and where output_dir holds another run or another process writes it
 */
export async function rlRun(verb: RlVerb, config: object, hooks: RlHooks = {}): Promise<RlSummary> {
  const plan = await planOf(verb, config, hooks);
  return runPlan(plan, hooks).finally(plan.rewards.dispose);
}

async function runPlan(plan: RlPlan, hooks: RlHooks): Promise<RlSummary> {
  const { start, figures, args, problems } = plan;
  const output_dir = outputOf(plan);
  const completions = new CompletionsFile(output_dir);
  const every = shownEvery(plan);
  const exportModel = (folder: string, params: ParamTree<NDArray>): Promise<void> =>
    exportWithTokenizer(folder, { config: start.config, params, tokenizer: start.tokenizer, eos_token_ids: start.stop_token_ids });
  let before: Readonly<Record<string, number>> | undefined;
  let profile: Readonly<Record<string, number>> | undefined;
  const run: FolderRun = {
    output_dir,
    identity: identityFor(plan),
    config: plan.config,
    steps: args.max_steps,
    parameters: figures.parameters,
    exportModel,
    sync: () => completions.sync(),
    onStart: (resumed_step) => {
      completions.start(resumed_step ?? 0);
      hooks.onEvent?.({ type: 'start', output_dir, figures, resumed_step });
      for (const text of problems.notes) hooks.onEvent?.({ type: 'note', text });
    },
    onMetrics: (line) => {
      if (line.global_step === 0)
        before = Object.fromEntries(Object.entries(line).filter((e): e is [string, number] => e[0].startsWith('eval_')));
      hooks.onEvent?.({ type: 'metrics', line });
    },
  };
  try {
    const summary = await runInFolder(run, async (loop) => {
      const result = await trainRl({
        ...loop,
        model: start.model,
        start: start.params,
        tokenizer: start.tokenizer,
        recipe: plan.rl,
        optimizer: plan.optimizer,
        schedule: plan.schedule,
        args,
        data: problems.train,
        rewards: plan.rewards.rewards,
        evaluation: {
          data: problems.evaluation,
          num_generations: plan.config.num_generations_eval,
          eval_steps: plan.eval_steps,
          on_start: plan.config.eval_on_start,
        },
        seed: plan.config.seed,
        eos_token_ids: start.stop_token_ids,
        ...(plan.config.threads === undefined ? {} : { threads: plan.config.threads }),
        ...(hooks.signal ? { signal: hooks.signal } : {}),
        onCompletions: (rows) => {
          completions.write(rows);
          const step = Number(rows[0]?.step ?? 0);
          if (every > 0 && (step % every === 0 || step === 1)) hooks.onEvent?.({ type: 'completions', step, rows });
        },
        onNote: (text) => hooks.onEvent?.({ type: 'note', text }),
      });
      if (result.status === 'finished') await exportModel(output_dir, result.params);
      profile = result.profile;
      const last = result.log_history.findLast(({ reward }) => typeof reward === 'number')?.reward;
      const metrics = Object.keys(result.metrics).length > 0 || typeof last !== 'number' ? result.metrics : { reward: last };
      return { status: result.status, metrics, ledger: result.ledger };
    });
    return {
      ...summary,
      rl: plan.rl.id,
      ...(before ? { before } : {}),
      ...(plan.config.profile && profile ? { profile } : {}),
    };
  } finally {
    completions.close();
  }
}
