import type { Ledger, Settings } from '../contracts/index.js';
import { type TextCorpus, type TokenBatch, trainingBatch, validationBatches } from '../data/textCorpus.js';
import { type Decoder, type DecoderConfig, decoderLoss, decoderSpecs, decoderTrainFlopsPerToken, initDecoder } from '../models/decoder/index.js';
import { warmupCosine } from '../optim/schedule/index.js';
import {
  applyUpdates,
  chain,
  clipByGlobalNorm,
  globalNorm,
  type Leaves,
  type OptimizerMethod,
  type OptState,
} from '../optim/transform/index.js';
import type { NDArray } from '../tensor/array.js';
import { compile, grad, type Tensor } from '../tensor/index.js';
import { foldIn, randomKey } from '../tensor/random/threefry.js';
import { type Tree, treeEntries, treeUnflatten } from '../tensor/tree.js';

/** A pretraining task: model, data order and budget, without the optimizer. Names follow TRL. */
export interface PretrainTask {
  readonly model: DecoderConfig;
  readonly max_steps: number;
  readonly per_device_train_batch_size: number;
  /** share of max_steps in which the learning rate rises linearly; then a cosine down to min_lr_ratio of the peak */
  readonly warmup_ratio: number;
  readonly min_lr_ratio: number;
  readonly max_grad_norm: number;
  readonly logging_steps: number;
  /** a quick validation every so many steps, over the first eval_bytes of the validation text; the last one covers all of it */
  readonly eval_steps: number;
  readonly eval_bytes: number;
  readonly eval_batch_size: number;
}

export interface PretrainOptions {
  readonly task: PretrainTask;
  readonly optimizer: OptimizerMethod;
  /** complete settings of the optimizer */
  readonly settings: Settings;
  /** parameters and data order follow from it */
  readonly seed: number;
  readonly corpus: TextCorpus;
  /** threads of the training session; default: all cores */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** called with every line of metrics.jsonl */
  readonly onMetrics?: (line: Readonly<Record<string, number | null>>) => void;
}

export interface PretrainResult {
  readonly status: 'finished' | 'diverged';
  /** final validation bits per byte; null where the loss left the finite numbers */
  readonly 'val/bpb': number | null;
  readonly ledger: Ledger;
}

interface State<T> {
  readonly params: Decoder<T>;
  readonly optimizer: OptState<T>;
}

const byPath = <T>(tree: Decoder<T>): Leaves<T> => Object.fromEntries(treeEntries(tree as unknown as Tree<T>));

/** Trains a decoder on a text from scratch: one compiled step of forward, backward, clipping and optimizer over donated state. */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { task, optimizer, settings, seed, corpus, threads, signal, onMetrics } = options;
  const { model, max_steps, per_device_train_batch_size: batchSize } = task;
  const context = model.max_position_embeddings;
  const started = performance.now();
  const specs = byPath(decoderSpecs(model));
  const transform = chain(clipByGlobalNorm(task.max_grad_norm), optimizer.create(settings));

  const step = compile(
    (state: State<Tensor>, batch: { inputs: Tensor; targets: Tensor }, rates: Readonly<Record<string, Tensor>>) => {
      const loss = decoderLoss(model, state.params, batch.inputs, batch.targets);
      const grads = byPath(grad(loss, state.params));
      const params = byPath(state.params);
      const { updates, state: optimizerState } = transform.update(grads, state.optimizer, { params, specs, rates });
      const updated = treeUnflatten(state.params, Object.values(applyUpdates(params, updates))) as Decoder<Tensor>;
      return [
        { params: updated, optimizer: optimizerState },
        { loss, grad_norm: globalNorm(grads) },
      ] as const;
    },
    { name: 'pretrain step', donate: [0], threads },
  );
  const score = compile(
    (params: Decoder<Tensor>, batch: { inputs: Tensor; targets: Tensor }) => decoderLoss(model, params, batch.inputs, batch.targets),
    {
      name: 'validation loss',
      threads,
    },
  );

  const dataKey = foldIn(randomKey(seed), 1);
  const quickBatches = validationBatches(corpus.validation, task.eval_batch_size, context, task.eval_bytes);
  const allBatches = validationBatches(corpus.validation, task.eval_batch_size, context);
  const evalTokens = task.eval_batch_size * context;
  const schedule = warmupCosine({
    totalSteps: max_steps,
    warmupSteps: Math.round(task.warmup_ratio * max_steps),
    minRatio: task.min_lr_ratio,
  });
  let tokensTrained = 0;
  let tokensEvaluated = 0;
  let trainSeconds = 0;
  let peakRss = 0;

  /** Validation bits per byte over the given windows. */
  const evaluate = async (params: Decoder<NDArray>, batches: readonly TokenBatch[]): Promise<number> => {
    let nats = 0;
    for (const batch of batches) {
      signal?.throwIfAborted();
      nats += (await score.run(params, batch)).item();
    }
    tokensEvaluated += batches.length * evalTokens;
    return nats / batches.length / Math.LN2;
  };

  const result = (bpb: number): PretrainResult => {
    const perToken = decoderTrainFlopsPerToken(model);
    return {
      status: Number.isFinite(bpb) ? 'finished' : 'diverged',
      'val/bpb': Number.isFinite(bpb) ? bpb : null,
      ledger: {
        tokens_trained: tokensTrained,
        tokens_evaluated: tokensEvaluated,
        model_flops: perToken * tokensTrained + (perToken / 3) * tokensEvaluated,
        optimizer_flops: optimizer.flops(specs, settings) * (tokensTrained / (batchSize * context)),
        wall_seconds: (performance.now() - started) / 1000,
        train_seconds: trainSeconds,
        peak_rss_bytes: peakRss,
      },
    };
  };

  try {
    let state: State<NDArray> = { params: initDecoder(model, seed), optimizer: transform.init(specs) };
    for (let s = 0; s < max_steps; s++) {
      signal?.throwIfAborted();
      const factor = schedule(s);
      const rates = Object.fromEntries(optimizer.rates.map((name) => [name, Number(settings[name]) * factor]));
      const before = performance.now();
      const [next, metrics] = await step.run(state, trainingBatch(corpus.train, dataKey, s, batchSize, context), rates);
      const seconds = (performance.now() - before) / 1000;
      state = next;
      trainSeconds += seconds;
      tokensTrained += batchSize * context;
      const loss = metrics.loss.item();
      const done = s + 1;
      const evaluated = done % task.eval_steps === 0 && done < max_steps;
      if (!Number.isFinite(loss)) {
        onMetrics?.({ global_step: done, loss: null, num_tokens: tokensTrained });
        return result(Number.NaN);
      }
      if (done % task.logging_steps === 0 || evaluated || done === max_steps) {
        peakRss = Math.max(peakRss, process.memoryUsage.rss());
        onMetrics?.({
          global_step: done,
          loss,
          grad_norm: metrics.grad_norm.item(),
          ...rates,
          num_tokens: tokensTrained,
          tokens_per_second: (batchSize * context) / seconds,
          ...(evaluated ? { 'val/bpb': await evaluate(state.params, quickBatches) } : {}),
        });
      }
    }
    const bpb = await evaluate(state.params, allBatches);
    onMetrics?.({ global_step: max_steps, num_tokens: tokensTrained, 'val/bpb': bpb });
    return result(bpb);
  } finally {
    step.dispose();
    score.dispose();
  }
}
