import type { Ledger, Settings } from '../contracts/index.js';
import type { Batch, BatchSource, JsonValue } from '../data/stream/batch.js';
import { type EvalSet, LmScorer, lmMetrics } from '../evaluate/languageModel.js';
import type { CausalModel } from '../models/causalModel.js';
import { initParams } from '../nn/init.js';
import type { ParamTree } from '../nn/param.js';
import type { ScheduleMethod } from '../optim/schedule/index.js';
import type { OptimizerMethod } from '../optim/transform/index.js';
import type { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { foldIn, randomKey } from '../tensor/random/threefry.js';
import { CheckpointMerger } from './averages.js';
import type { CheckpointStore } from './checkpoints.js';
import { LedgerCounter } from './ledgerCounter.js';
import type { ObjectiveMethod } from './objective/slot.js';
import { type Chosen, type TrainState, trainedSpecs, trainStep } from './step.js';

/** Length, rhythm and clipping of a run, by TRL's names. */
export interface PretrainArguments {
  readonly max_steps: number;
  /** batches whose gradients add up to one step; default 1 */
  readonly gradient_accumulation_steps?: number;
  /** share of max_steps in which the learning rate rises linearly; default 0 */
  readonly warmup_ratio?: number;
  /** overrides warmup_ratio */
  readonly warmup_steps?: number;
  /** gradients are scaled down to this global norm; 0 = never. Default 1 */
  readonly max_grad_norm?: number;
  /** decay of an average of the weights that is evaluated beside them; 0 = none (default) */
  readonly ema_decay?: number;
  /** default 10 */
  readonly logging_steps?: number;
  /** quick evaluation every so many steps; 0 = only at the end (default) */
  readonly eval_steps?: number;
  /** checkpoint every so many steps; 0 = none (default) */
  readonly save_steps?: number;
}

/** Which methods train: one for each slot of the loop, with complete settings. */
export interface PretrainRecipe {
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly objective: Chosen<ObjectiveMethod>;
}

export interface PretrainOptions {
  readonly model: CausalModel;
  readonly recipe: PretrainRecipe;
  readonly args: PretrainArguments;
  readonly data: BatchSource;
  readonly evaluation: readonly EvalSet[];
  /** starting parameters and all random choices of the run follow from it; the data source has its own */
  readonly seed: number;
  /** parameters to start from instead of random ones */
  readonly start?: ParamTree<NDArray>;
  /** resumes from the newest checkpoint there, and saves to it */
  readonly checkpoints?: CheckpointStore;
  /** threads of the training session; default: all cores */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** called with every line of metrics.jsonl */
  readonly onMetrics?: (line: MetricsLine) => void;
  /** called once where the run goes on from a checkpoint, before its first step */
  readonly onResume?: (state: { readonly global_step: number; readonly log_history: readonly MetricsLine[] }) => void;
}

export type MetricsLine = Readonly<Record<string, number | null>>;

export interface PretrainResult {
  readonly status: 'finished' | 'diverged';
  /** final metrics of every evaluation set, e.g. `val/bpb`; empty where the loss left the finite numbers */
  readonly metrics: Readonly<Record<string, number>>;
  readonly ledger: Ledger;
  /** the trained model (merged, where the schedule merges checkpoints), without the objective's own parameters */
  readonly params: ParamTree<NDArray>;
  /** the moving average of its weights, where there is one */
  readonly ema?: ParamTree<NDArray>;
}

/** Parameters before the first step: the given ones or drawn from the seed, and the objective's own. */
function startingParams(options: PretrainOptions, specs: ReturnType<typeof trainedSpecs>): ParamTree<NDArray> {
  const key = randomKey(options.seed);
  const { objective, ...model } = specs;
  const own = objective ? { objective: initParams(objective, foldIn(key, 2)) as unknown as ParamTree<NDArray> } : {};
  return { ...(options.start ?? (initParams(model, key) as unknown as ParamTree<NDArray>)), ...own };
}

const rateOf = (settings: Settings, name: string): number => Number(settings[name]);

/** Trains a language model: one compiled step over donated state; batches, learning rates and keys come from the host, each a pure function of the step. */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { model, recipe, args, data, evaluation, seed, checkpoints, threads, signal, onMetrics } = options;
  const { max_steps, gradient_accumulation_steps: parts = 1, logging_steps = 10, eval_steps = 0, save_steps = 0, ema_decay = 0 } = args;
  const sizes = { model, batch_size: data.batch_size, context: data.context };
  const span = { totalSteps: max_steps, warmupSteps: args.warmup_steps ?? Math.round((args.warmup_ratio ?? 0) * max_steps) };
  const factor = recipe.schedule.method.factor(recipe.schedule.settings, span);
  const step = trainStep({ model, ...recipe, sizes, max_grad_norm: args.max_grad_norm ?? 1, ema_decay, threads });
  const scorer = new LmScorer(model, { threads });
  const merger = new CheckpointMerger(recipe.schedule.method.merge?.(recipe.schedule.settings, span), threads);
  const ledger = new LedgerCounter({ recipe, sizes, parts, specs: step.specs });
  const keys = foldIn(randomKey(seed), 3);
  const withoutOwn = ({ objective: _, ...params }: ParamTree<NDArray>): ParamTree<NDArray> => params;
  const history: MetricsLine[] = [];
  const log = (line: MetricsLine): void => {
    history.push(line);
    onMetrics?.(line);
  };

  /** Metrics of all evaluation sets; quick ones cover their leading batches and are not interrupted. */
  const evaluate = async (params: ParamTree<NDArray>, quick: boolean): Promise<Record<string, number>> => {
    const all: Record<string, number> = {};
    for (const set of evaluation) {
      const score = await scorer.score(params, set, quick ? { limit: set.quick } : { signal });
      ledger.evaluated(score.tokens);
      Object.assign(all, lmMetrics(set, score));
    }
    return all;
  };
  const named = (prefix: string, metrics: Record<string, number>): Record<string, number> =>
    Object.fromEntries(Object.entries(metrics).map(([k, v]) => [`${prefix}${k}`, v]));

  try {
    let state: TrainState<NDArray> = step.init(startingParams(options, trainedSpecs({ model, ...recipe, sizes })));
    let done = 0;
    const merged = merger.start(state.params);
    const saved = await checkpoints?.latest({ state, merged });
    if (saved) {
      state = saved.state.state;
      merger.restore(saved.state.merged);
      done = saved.trainer.global_step;
      history.push(...saved.trainer.log_history);
      ledger.restore(saved.trainer.ledger);
      data.seek(saved.trainer.cursor);
      options.onResume?.({ global_step: done, log_history: [...history] });
    }
    const take = async (): Promise<Batch[]> => {
      const batches: Batch[] = [];
      for (let i = 0; i < parts; i++) batches.push(await data.next());
      return batches;
    };
    /** where the data stands before the batches that are taken next */
    const stand = (): { cursor: JsonValue; epoch: number } => ({ cursor: data.cursor(), epoch: data.epoch });
    let here = stand();
    let batches = done < max_steps ? await take() : [];
    let lastSaved = done;
    /** steps and seconds of training since the last line of the log */
    let since = { at: performance.now(), steps: 0 };
    const save = async (): Promise<void> => {
      if (!checkpoints || done === lastSaved) return;
      const began = performance.now();
      const best = Math.min(...history.map((line) => line[`${evaluation[0]?.name}/loss`] ?? Number.POSITIVE_INFINITY));
      const trainer = {
        global_step: done,
        max_steps,
        ...here,
        best_metric: Number.isFinite(best) ? best : null,
        ledger: ledger.counts(),
        log_history: history,
      };
      const exported = (done === max_steps ? merger.result() : undefined) ?? withoutOwn(state.params);
      await checkpoints.save({ state, merged: merger.state() }, trainer, exported);
      lastSaved = done;
      since.at += performance.now() - began;
    };
    while (done < max_steps) {
      if (signal?.aborted) {
        await save();
        signal.throwIfAborted();
      }
      const scheduled = factor(done);
      const rates = Object.fromEntries(recipe.optimizer.method.rates.map((r) => [r, rateOf(recipe.optimizer.settings, r) * scheduled]));
      const began = performance.now();
      const running = step.run(state, { batches, rates, key: foldIn(keys, done), progress: done / max_steps });
      // the next batch is made while this one is computed
      const after = stand();
      const next = done + 1 < max_steps ? take() : Promise.resolve([]);
      next.catch(() => undefined);
      const { state: trained, metrics } = await running;
      state = trained;
      done++;
      ledger.trained((performance.now() - began) / 1000);
      since.steps++;
      await merger.after(done, state.params);
      batches = await next;
      here = after;
      const progress = { global_step: done, epoch: after.epoch, num_tokens: ledger.tokensTrained };
      if (!Number.isFinite(metrics.loss)) {
        log({ ...progress, loss: null });
        return { status: 'diverged', metrics: {}, ledger: ledger.total(), params: withoutOwn(state.params) };
      }
      const evaluates = eval_steps > 0 && done % eval_steps === 0 && done < max_steps;
      if (done % logging_steps === 0 || evaluates || done === max_steps) {
        const step_time = (performance.now() - since.at) / 1000 / since.steps;
        const speed = { step_time, tokens_per_second: (parts * data.tokensPerBatch) / step_time };
        log({ ...progress, ...metrics, ...rates, ...speed, ...(evaluates ? await evaluate(withoutOwn(state.params), true) : {}) });
        since = { at: performance.now(), steps: 0 };
      }
      if ((save_steps > 0 && done % save_steps === 0) || done === max_steps) await save();
    }
    const params = merger.result() ?? withoutOwn(state.params);
    const final = await evaluate(params, false);
    const average = state.ema ? named('ema_', await evaluate(state.ema, false)) : {};
    if (evaluation.length > 0) log({ global_step: done, num_tokens: ledger.tokensTrained, ...final, ...average });
    const status = Object.values(final).every(Number.isFinite) ? 'finished' : 'diverged';
    return { status, metrics: { ...final, ...average }, ledger: ledger.total(), params, ema: state.ema };
  } catch (error) {
    if (error instanceof RangeError) throw new VitroError(error.message);
    throw error;
  } finally {
    step.dispose();
    scorer.dispose();
    merger.dispose();
  }
}
