import type { Ledger } from '../contracts/index.js';
import type { ExampleSource, SequenceBatch } from '../data/examples/index.js';
import type { JsonValue } from '../data/stream/batch.js';
import type { CausalModel } from '../models/causalModel.js';
import { initParams } from '../nn/init.js';
import type { ParamTree } from '../nn/param.js';
import type { ScheduleMethod } from '../optim/schedule/index.js';
import type { OptimizerMethod } from '../optim/transform/index.js';
import type { NDArray } from '../tensor/array.js';
import { foldIn, randomKey } from '../tensor/random/threefry.js';
import { CheckpointMerger } from './averages.js';
import type { CheckpointStore } from './checkpoints.js';
import { FrozenModels, type FrozenRule } from './frozen.js';
import { LedgerCounter } from './ledgerCounter.js';
import type { ObjectiveMethod } from './objective/slot.js';
import { ObjectiveScorer } from './objectiveScorer.js';
import type { MetricsLine, PretrainArguments } from './pretrain.js';
import { type Chosen, type Frozen, type TrainState, trainedSpecs, trainStep } from './step.js';

/** Length, rhythm and clipping of a run, by TRL's names; as for pretraining. */
export type PostTrainArguments = Omit<PretrainArguments, 'ema_decay'>;

/** What the loops after pretraining share. */
export interface PostTrainShared {
  readonly model: CausalModel;
  /** parameters that training starts from; they are left untouched */
  readonly start: ParamTree<NDArray>;
  readonly args: PostTrainArguments;
  readonly data: ExampleSource;
  /** batches that are only measured; metrics begin with `eval_` */
  readonly evaluation?: readonly SequenceBatch[];
  /** all random choices of the run follow from it; the data source has its own */
  readonly seed: number;
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

export interface PostTrainOptions extends PostTrainShared {
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly objective: Chosen<ObjectiveMethod>;
  /** what is measured on the evaluation batches; default: the objective */
  readonly evaluated?: Chosen<ObjectiveMethod>;
  /** models that the loss reads, and what becomes of them; `given` replaces their start by name */
  readonly frozen: Readonly<Record<string, FrozenRule>>;
  readonly given?: Frozen<NDArray>;
}

export interface PostTrainResult {
  readonly status: 'finished' | 'diverged';
  /** final metrics of the evaluation batches, e.g. `eval_loss`; empty where the loss left the finite numbers */
  readonly metrics: Readonly<Record<string, number>>;
  readonly ledger: Ledger;
  readonly params: ParamTree<NDArray>;
  /** parameters of the objective's own: the head of a reward model */
  readonly own: ParamTree<NDArray>;
}

const withoutOwn = ({ objective: _, ...params }: ParamTree<NDArray>): ParamTree<NDArray> => params;
const ownOf = ({ objective }: ParamTree<NDArray>): ParamTree<NDArray> => (objective ?? {}) as ParamTree<NDArray>;

/** A copy of the start, which the engine takes over, and the objective's own parameters drawn from the seed. */
function startingParams({ start, seed }: PostTrainOptions, specs: ReturnType<typeof trainedSpecs>): ParamTree<NDArray> {
  const copies = new FrozenModels({ start: { kind: 'start' } }, start).current.start as ParamTree<NDArray>;
  const { objective } = specs;
  return {
    ...copies,
    ...(objective ? { objective: initParams(objective, foldIn(randomKey(seed), 2)) as unknown as ParamTree<NDArray> } : {}),
  };
}

/**
 * Trains on batches of examples: one compiled step over donated state, batches, learning rates and keys from the host, each a pure function of the
 * step; frozen models are refreshed between steps. The loops sft, prefer and reward say what the loss is.
 */
export async function postTrain(options: PostTrainOptions): Promise<PostTrainResult> {
  const { model, objective, optimizer, schedule, args, data, evaluation = [], seed, checkpoints, threads, signal, onMetrics } = options;
  const { max_steps, gradient_accumulation_steps: parts = 1, logging_steps = 10, eval_steps = 0, save_steps = 0 } = args;
  const recipe = { optimizer, schedule, objective };
  const sizes = { model, batch_size: data.batch_size, context: data.context, examples: data.examples };
  const span = { totalSteps: max_steps, warmupSteps: args.warmup_steps ?? Math.round((args.warmup_ratio ?? 0) * max_steps) };
  const factor = schedule.method.factor(schedule.settings, span);
  const step = trainStep({ model, ...recipe, sizes, max_grad_norm: args.max_grad_norm ?? 1, ema_decay: 0, threads });
  const evaluated = options.evaluated ?? objective;
  const scorer = new ObjectiveScorer(model, evaluated, { threads });
  const merger = new CheckpointMerger(schedule.method.merge?.(schedule.settings, span), threads);
  const ledger = new LedgerCounter({ recipe, sizes, parts, specs: step.specs });
  const frozen = new FrozenModels(options.frozen, options.start, options.given);
  const keys = foldIn(randomKey(seed), 3);
  const history: MetricsLine[] = [];
  const log = (line: MetricsLine): void => {
    history.push(line);
    onMetrics?.(line);
  };
  const evaluate = async (params: ParamTree<NDArray>): Promise<Record<string, number>> => {
    const metrics = await scorer.score(params, evaluation, { frozen: frozen.current, ...(signal ? { signal } : {}) });
    ledger.evaluated(evaluation.reduce((n, { inputs }) => n + inputs.size, 0));
    return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval_${name}`, value]));
  };
  /** Parameters that evaluation reads: merged ones stand for the model, the objective's own stay. */
  const judged = (params: ParamTree<NDArray>, own: ParamTree<NDArray>): ParamTree<NDArray> =>
    Object.keys(own).length > 0 ? { ...params, objective: own } : params;

  try {
    let state: TrainState<NDArray> = step.init(startingParams(options, trainedSpecs({ model, ...recipe, sizes })));
    let done = 0;
    const merged = merger.start(state.params);
    const saved = await checkpoints?.latest({ state, merged, frozen: frozen.state() });
    if (saved) {
      state = saved.state.state;
      merger.restore(saved.state.merged);
      frozen.restore(saved.state.frozen);
      done = saved.trainer.global_step;
      history.push(...saved.trainer.log_history);
      ledger.restore(saved.trainer.ledger);
      data.seek(saved.trainer.cursor);
      options.onResume?.({ global_step: done, log_history: [...history] });
    }
    const take = (): SequenceBatch[] => Array.from({ length: parts }, () => data.next());
    const stand = (): { cursor: JsonValue; epoch: number } => ({ cursor: data.cursor(), epoch: data.epoch });
    let lastSaved = done;
    let since = { at: performance.now(), steps: 0 };
    const save = async (): Promise<void> => {
      if (!checkpoints || done === lastSaved) return;
      const began = performance.now();
      const best = Math.min(...history.map((line) => line.eval_loss ?? Number.POSITIVE_INFINITY));
      const trainer = {
        global_step: done,
        max_steps,
        ...stand(),
        best_metric: Number.isFinite(best) ? best : null,
        ledger: ledger.counts(),
        log_history: history,
      };
      const exported = judged((done === max_steps ? merger.result() : undefined) ?? withoutOwn(state.params), ownOf(state.params));
      await checkpoints.save({ state, merged: merger.state(), frozen: frozen.state() }, trainer, exported);
      lastSaved = done;
      since.at += performance.now() - began;
    };
    while (done < max_steps) {
      if (signal?.aborted) {
        await save();
        signal.throwIfAborted();
      }
      const scheduled = factor(done);
      const rates = Object.fromEntries(optimizer.method.rates.map((r) => [r, Number(optimizer.settings[r]) * scheduled]));
      const taken = take();
      const began = performance.now();
      const { state: trained, metrics } = await step.run(state, {
        batches: taken.map(({ extra: _, ...batch }) => batch),
        extra: taken.map(({ extra }) => extra),
        frozen: frozen.current,
        rates,
        key: foldIn(keys, done),
        progress: done / max_steps,
      });
      state = trained;
      done++;
      ledger.trained((performance.now() - began) / 1000);
      since.steps++;
      await merger.after(done, state.params);
      frozen.after(done, withoutOwn(state.params));
      const progress = { global_step: done, epoch: data.epoch, num_tokens: ledger.tokensTrained };
      if (!Number.isFinite(metrics.loss)) {
        log({ ...progress, loss: null });
        return { status: 'diverged', metrics: {}, ledger: ledger.total(), params: withoutOwn(state.params), own: ownOf(state.params) };
      }
      const evaluates = evaluation.length > 0 && eval_steps > 0 && done % eval_steps === 0 && done < max_steps;
      if (done % logging_steps === 0 || evaluates || done === max_steps) {
        const step_time = (performance.now() - since.at) / 1000 / since.steps;
        const speed = { step_time, tokens_per_second: (parts * data.tokensPerBatch) / step_time };
        log({ ...progress, ...metrics, ...rates, ...speed, ...(evaluates ? await evaluate(state.params) : {}) });
        since = { at: performance.now(), steps: 0 };
      }
      if ((save_steps > 0 && done % save_steps === 0) || done === max_steps) await save();
    }
    const params = merger.result() ?? withoutOwn(state.params);
    const own = ownOf(state.params);
    const final = evaluation.length > 0 ? await evaluate(judged(params, own)) : {};
    if (evaluation.length > 0) log({ global_step: done, num_tokens: ledger.tokensTrained, ...final });
    const status = Object.values(final).every(Number.isFinite) ? 'finished' : 'diverged';
    return { status, metrics: final, ledger: ledger.total(), params, own };
  } finally {
    step.dispose();
    scorer.dispose();
    merger.dispose();
  }
}
