import type { Tokenizer } from '../contracts/index.js';
import type { JsonValue } from '../data/stream/batch.js';
import type { CausalModel } from '../models/index.js';
import { initParams } from '../nn/init.js';
import type { ParamTree } from '../nn/param.js';
import type { ScheduleMethod } from '../optim/schedule/index.js';
import type { OptimizerMethod } from '../optim/transform/index.js';
import type { NDArray } from '../tensor/array.js';
import type { BackendName } from '../tensor/index.js';
import { foldIn, randomKey } from '../tensor/random/threefry.js';
import type { CheckpointStore } from './checkpoints.js';
import type { MetricsLine } from './pretrain.js';
import { collect, scoreBatch } from './rl/collect.js';
import type { RlRecipe } from './rl/compose.js';
import type { NamedReward, PhaseChange, UpdateContext } from './rl/contract.js';
import { evaluatePolicy, type RlEvaluation } from './rl/evaluate.js';
import { Host } from './rl/host.js';
import { RlLedger, type RlLedgerTotal } from './rl/ledger.js';
import { type CompletionRow, completionRows, explain, rolloutMetrics } from './rl/log.js';
import type { AuxiliaryBatch } from './rl/minibatch.js';
import { recipeNeeds } from './rl/needs.js';
import { Policy, restricts } from './rl/policy.js';
import { type PromptRow, promptDataset } from './rl/prompts.js';
import { Stopwatch } from './rl/stopwatch.js';
import { copyParams, RlTrainer, ratesAt } from './rl/trainer.js';
import { type Chosen, trainedSpecs } from './step.js';

/** Length, rhythm and clipping of a run, by TRL's names. */
export interface RlArguments {
  readonly max_steps: number;
  /** a run also ends with the step in which it has generated so many tokens: the budget of comparisons; default: none */
  readonly max_generated_tokens?: number;
  /** share of max_steps in which the learning rate rises linearly; default 0 */
  readonly warmup_ratio?: number;
  /** overrides warmup_ratio */
  readonly warmup_steps?: number;
  /** gradients are scaled down to this global norm; 0 = never. Default 1 */
  readonly max_grad_norm?: number;
  /** default 1 */
  readonly logging_steps?: number;
  /** checkpoint every so many steps; 0 = none (default) */
  readonly save_steps?: number;
}

export interface RlOptions {
  readonly model: CausalModel;
  /** the policy's weights before the first step; they are copied */
  readonly start: ParamTree<NDArray>;
  readonly tokenizer: Tokenizer;
  /** the slots and their settings, see composeRl */
  readonly recipe: RlRecipe;
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly args: RlArguments;
  readonly data: readonly PromptRow[];
  readonly rewards: readonly NamedReward[];
  /** problems that are only measured; metrics begin with `eval_` */
  readonly evaluation?: RlEvaluation;
  /** all random choices of the run follow from it */
  readonly seed: number;
  /** weights that penalties compare with; default: the start */
  readonly reference?: ParamTree<NDArray>;
  /** tokens that end a completion; default: the tokenizer's eos */
  readonly eos_token_ids?: readonly number[];
  /** resumes from the newest checkpoint there, and saves to it */
  readonly checkpoints?: CheckpointStore;
  readonly threads?: number;
  /** of rollouts and scoring; training uses the default */
  readonly backend?: BackendName;
  readonly signal?: AbortSignal;
  /** called with every line of metrics.jsonl */
  readonly onMetrics?: (line: MetricsLine) => void;
  /** called with the completions table of every step */
  readonly onCompletions?: (rows: readonly CompletionRow[]) => void;
  /** explanations for the user, each once */
  readonly onNote?: (text: string) => void;
  readonly onResume?: (state: { readonly global_step: number; readonly log_history: readonly MetricsLine[] }) => void;
}

export interface RlResult {
  readonly status: 'finished' | 'diverged';
  /** of the last evaluation; empty without one, and where the loss left the finite numbers */
  readonly metrics: Readonly<Record<string, number>>;
  readonly params: ParamTree<NDArray>;
  readonly ledger: RlLedgerTotal;
  readonly log_history: readonly MetricsLine[];
  /** seconds in compiled functions (decode, prefill, score, train), in all steps and in evaluations: what --profile shows */
  readonly profile: Readonly<Record<string, number>>;
}

/** Reinforcement learning with verifiable rewards: rollouts read the weights that the step before wrote; every slot of the recipe is called by its name. */
export async function trainRl(options: RlOptions): Promise<RlResult> {
  const { model, tokenizer, recipe, optimizer, schedule, args, seed, checkpoints, threads, backend, signal, onMetrics } = options;
  const { slots } = recipe;
  const { max_steps, max_generated_tokens = Number.POSITIVE_INFINITY, logging_steps = 1, save_steps = 0, max_grad_norm = 1 } = args;
  const span = { totalSteps: max_steps, warmupSteps: args.warmup_steps ?? Math.round((args.warmup_ratio ?? 0) * max_steps) };
  const factor = schedule.method.factor(schedule.settings, span);
  const dataset = promptDataset(options.data, tokenizer);
  const needs = recipeNeeds(slots, recipe.settings);
  const watch = new Stopwatch();
  const eos = new Set(options.eos_token_ids ?? (tokenizer.eos_token_id === null ? [] : [tokenizer.eos_token_id]));
  const keys = randomKey(seed);
  const host: Host = new Host({
    key: foldIn(keys, 4),
    progress: () => progress(),
    tokenizer,
    eos,
    rewards: options.rewards,
    problems: dataset.length,
    settings: recipe.settings,
    policy: () => policy,
    onNote: options.onNote,
  });
  const trainer: RlTrainer = new RlTrainer({
    model,
    recipe,
    needs,
    host,
    watch,
    optimizer,
    max_grad_norm,
    threads,
    policy: () => policy,
    trained: (tokens, seconds) => ledger.trained(tokens, seconds),
  });
  const usesReference = needs.has('reference') || needs.has('reference-policy');
  let reference = usesReference ? copyParams(options.reference ?? options.start) : undefined;
  const ledger = new RlLedger(model, host.number('max_completion_length'), optimizer.method.flops(trainer.step.specs, optimizer.settings));
  const policy: Policy = new Policy({
    model,
    tokenizer,
    view: slots.policyView,
    eos,
    watch,
    backend,
    threads,
    settings: () => host.settings,
    params: () => trainer.state.params,
    reference: () => reference,
    key: (purpose) => host.key(purpose),
    generated: (tokens) => (evaluating ? ledger.scored(tokens) : ledger.generated(tokens)),
    scored: (tokens) => ledger.scored(tokens),
  });
  const history: MetricsLine[] = [];
  const progress = (): number => Math.min(1, Math.max(host.step / max_steps, ledger.tokensGenerated / max_generated_tokens));

  const measured = options.evaluation && options.evaluation.data.length > 0 ? promptDataset(options.evaluation.data, tokenizer) : undefined;
  let evaluating = false;
  /** Metrics of the held-out problems. Their tokens and seconds are not those of training. */
  const evaluate = async (): Promise<Record<string, number>> => {
    if (!measured) return {};
    const before = { ...watch.seconds };
    const began = performance.now();
    evaluating = true;
    try {
      return await evaluatePolicy(host, measured, options.evaluation?.num_generations ?? 1);
    } finally {
      evaluating = false;
      for (const name of Object.keys(watch.seconds)) watch.seconds[name] = before[name] ?? 0;
      watch.seconds.evaluation = (before.evaluation ?? 0) + (performance.now() - began) / 1000;
    }
  };
  const log = (line: MetricsLine): void => {
    history.push(line);
    onMetrics?.(line);
  };

  const enter = ({ settings = {}, reset_reference, reset_optimizer }: PhaseChange): void => {
    host.settings = { ...host.settings, ...settings };
    if (reset_reference && usesReference) reference = copyParams(trainer.weights);
    if (reset_optimizer) trainer.resetOptimizer();
  };

  try {
    const { objective } = trainedSpecs(trainer);
    const own = objective ? { objective: initParams(objective, foldIn(keys, 2)) as unknown as ParamTree<NDArray> } : {};
    trainer.state = trainer.step.init({ ...copyParams(options.start), ...own });
    const saved = await checkpoints?.latest({ state: trainer.state, reference });
    if (saved) {
      trainer.state = saved.state.state;
      reference = saved.state.reference;
      host.step = saved.trainer.global_step;
      host.restore(saved.trainer.cursor as never);
      history.push(...saved.trainer.log_history);
      ledger.restore(saved.trainer.ledger);
      options.onResume?.({ global_step: host.step, log_history: [...history] });
    }
    let lastSaved = host.step;
    const save = async (): Promise<void> => {
      if (!checkpoints || host.step === lastSaved) return;
      const rewards = history.map((line) => line.reward ?? Number.NEGATIVE_INFINITY);
      const state = {
        global_step: host.step,
        max_steps,
        epoch: (host.step * host.number('prompts_per_step')) / dataset.length,
        cursor: host.save() as JsonValue,
        best_metric: rewards.length > 0 ? Math.max(...rewards) : null,
        ledger: ledger.counts(),
        log_history: history,
      };
      await checkpoints.save({ state: trainer.state, reference }, state, trainer.weights);
      lastSaved = host.step;
    };

    if (options.evaluation?.on_start && measured && host.step === 0)
      log({ global_step: 0, epoch: 0, num_tokens: 0, ...(await evaluate()) });
    while (progress() < 1) {
      if (signal?.aborted) {
        await save();
        signal.throwIfAborted();
      }
      const began = performance.now();
      for (const phase of slots.phases) enter(phase.at(host.context('phases', phase)) ?? {});
      const { scored, batch } = await collect(slots, host, dataset);
      const truncated = restricts(slots.policyView.sampling(host.settings));
      await scoreBatch(slots, batch, policy, { reference: usesReference, truncated });
      await slots.advantage.prepare?.(batch, host.context('advantage', slots.advantage));
      const credit = slots.advantage.compute(batch, host.context('advantage', slots.advantage));
      batch.advantages = credit.length === batch.tokens ? credit : batch.spread(credit);
      const auxiliary: AuxiliaryBatch[] = [];
      for (const part of slots.auxiliary)
        auxiliary.push({ name: part.name, sequences: await part.sequences(batch, host.context('auxiliary', part)) });
      const frozen = {
        ...(needs.has('reference-policy') && reference ? { reference } : {}),
        ...(needs.has('old-policy') ? { old: copyParams(trainer.weights) } : {}),
      };
      const scheduled = factor(host.step);
      let turn = 0;
      const update: UpdateContext = {
        ...host.context('update', slots.update),
        batch,
        train: async (samples, { rate = 1 } = {}) => {
          const rates = ratesAt(optimizer.method.rates, optimizer.settings, scheduled * rate);
          const metrics = await trainer.train({ batch, samples, auxiliary, frozen, rates, progress: progress(), turn: turn++ });
          for (const [name, value] of Object.entries(metrics)) host.metric(name, value);
          return metrics;
        },
        parameters: {
          snapshot: () => copyParams(trainer.weights),
          interpolate: (from, alpha) => trainer.interpolate(from, alpha),
        },
      };
      if (batch.training.length > 0 || auxiliary.some((a) => a.sequences.length > 0)) await slots.update.run(update);
      const metrics = { ...rolloutMetrics(scored), ...host.takeMetrics() };
      explain(batch, metrics, host);
      options.onCompletions?.(completionRows(host.step + 1, batch));
      host.step++;
      const line = {
        global_step: host.step,
        epoch: (host.step * host.number('prompts_per_step')) / dataset.length,
        num_tokens: ledger.tokens,
        ...metrics,
        ...ratesAt(optimizer.method.rates, optimizer.settings, scheduled),
        step_time: (performance.now() - began) / 1000,
      };
      watch.seconds.steps = (watch.seconds.steps ?? 0) + line.step_time;
      const isLast = progress() >= 1;
      const diverged = metrics.loss !== undefined && !Number.isFinite(metrics.loss);
      const { eval_steps = 0 } = options.evaluation ?? {};
      const evaluates = eval_steps > 0 && host.step % eval_steps === 0 && !isLast && !diverged;
      if (host.step % logging_steps === 0 || isLast || evaluates) log({ ...line, ...(evaluates ? await evaluate() : {}) });
      if (diverged)
        return {
          status: 'diverged',
          metrics: {},
          params: trainer.weights,
          ledger: ledger.total(),
          log_history: history,
          profile: watch.seconds,
        };
      if ((save_steps > 0 && host.step % save_steps === 0) || isLast) await save();
    }
    const final = await evaluate();
    if (measured) log({ global_step: host.step, num_tokens: ledger.tokens, ...final });
    return {
      status: 'finished',
      metrics: final,
      params: trainer.weights,
      ledger: ledger.total(),
      log_history: history,
      profile: watch.seconds,
    };
  } finally {
    trainer.step.dispose();
    policy.dispose();
  }
}
