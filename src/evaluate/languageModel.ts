import type { Batch } from '../data/stream/batch.js';
import { type CausalModel, modelLogits, modelLoss } from '../models/causalModel.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { compile } from '../tensor/compile/compile.js';
import type { Tensor } from '../tensor/graph.js';
import { cast, eq, le, mul, sub } from '../tensor/ops/elementwise.js';
import { argmax, sum } from '../tensor/ops/reduce.js';

/** Text or questions on which a language model is measured. */
export interface EvalSet {
  /** metric names begin with it: `val` gives `val/bpb` */
  readonly name: string;
  readonly batches: readonly Batch[];
  /** leading batches that a quick evaluation during training covers; default all */
  readonly quick?: number;
  /** `bpb`: bits per byte and loss; `accuracy`: also the share of counted targets that are the most probable token, and of rows without a mistake */
  readonly metric: 'bpb' | 'accuracy';
  /** UTF-8 bytes that the counted targets of a batch stand for; default: one each (byte tokens) */
  readonly bytesOf?: (batch: Batch) => number;
}

/** Totals over a set. Rows without counted targets do not count as right. */
export interface LmScore {
  /** sum of cross-entropies in nats */
  readonly nats: number;
  readonly counted: number;
  readonly bytes: number;
  readonly correct: number;
  readonly exact_rows: number;
  readonly rows: number;
  /** tokens that went through the model */
  readonly tokens: number;
}

/** What the metrics of a set are called and how they follow from its totals: lower is better for loss and bpb, higher for the others. */
export function lmMetrics(set: EvalSet, score: LmScore): Record<string, number> {
  const loss = score.nats / score.counted;
  const shared = { [`${set.name}/loss`]: loss, [`${set.name}/perplexity`]: Math.exp(loss) };
  if (set.metric === 'bpb') return { ...shared, [`${set.name}/bpb`]: score.nats / score.bytes / Math.LN2 };
  return {
    ...shared,
    [`${set.name}/accuracy`]: score.correct / score.counted,
    [`${set.name}/exact_match`]: score.exact_rows / score.rows,
  };
}

type Totals<T> = { readonly nats: T; readonly counted: T; readonly correct?: T; readonly exact?: T; readonly asked?: T };

/** Scores token batches under a model; compiles once for each kind of metric and batch shape. */
export class LmScorer {
  readonly #totals: (params: ParamTree<NDArray>, batch: Batch, metric: EvalSet['metric']) => Promise<Totals<NDArray>>;
  readonly #dispose: () => void;

  constructor(model: CausalModel, options: { readonly threads?: number } = {}) {
    const hidden = (params: ParamTree<Tensor>, { inputs, positions, segment_ids }: BatchTensors): Tensor =>
      model.hidden(params, inputs, { ...(positions ? { positions } : {}), ...(segment_ids ? { segment_ids } : {}) });
    const counted = (targets: Tensor): Tensor => cast(le(0, targets), 'f32');
    const losses = compile(
      (params: ParamTree<Tensor>, batch: BatchTensors): Totals<Tensor> => ({
        nats: modelLoss(model, params, hidden(params, batch), batch.targets, { reduction: 'sum' }),
        counted: sum(counted(batch.targets)),
      }),
      { name: 'evaluation loss', ...options },
    );
    const answers = compile(
      (params: ParamTree<Tensor>, batch: BatchTensors): Totals<Tensor> => {
        const h = hidden(params, batch);
        const asked_BT = counted(batch.targets);
        const right_BT = mul(cast(eq(argmax(modelLogits(model, params, h), { axis: -1 }), batch.targets), 'f32'), asked_BT);
        const rowAsked = sum(asked_BT, { axis: 1 });
        const wrong = sub(rowAsked, sum(right_BT, { axis: 1 }));
        const any = cast(le(1, rowAsked), 'f32');
        return {
          nats: modelLoss(model, params, h, batch.targets, { reduction: 'sum' }),
          counted: sum(asked_BT),
          correct: sum(right_BT),
          exact: sum(mul(cast(eq(wrong, 0), 'f32'), any)),
          asked: sum(any),
        };
      },
      { name: 'evaluation accuracy', ...options },
    );
    this.#totals = async (params, batch, metric) =>
      (await (metric === 'bpb' ? losses : answers).run(params as never, batch as never)) as unknown as Totals<NDArray>;
    this.#dispose = () => {
      losses.dispose();
      answers.dispose();
    };
  }

  /** Totals over the first `limit` batches of a set (default: all). */
  async score(
    params: ParamTree<NDArray>,
    set: EvalSet,
    { limit = set.batches.length, signal }: { readonly limit?: number; readonly signal?: AbortSignal } = {},
  ): Promise<LmScore> {
    const total = { nats: 0, counted: 0, bytes: 0, correct: 0, exact_rows: 0, rows: 0, tokens: 0 };
    for (const batch of set.batches.slice(0, limit)) {
      signal?.throwIfAborted();
      const out = await this.#totals(params, batch, set.metric);
      const n = out.counted.item();
      total.nats += out.nats.item();
      total.counted += n;
      total.bytes += set.bytesOf ? set.bytesOf(batch) : n;
      total.correct += out.correct?.item() ?? 0;
      total.exact_rows += out.exact?.item() ?? 0;
      total.rows += out.asked?.item() ?? 0;
      total.tokens += batch.inputs.size;
    }
    return total;
  }

  dispose(): void {
    this.#dispose();
  }
}

interface BatchTensors {
  readonly inputs: Tensor;
  readonly targets: Tensor;
  readonly segment_ids?: Tensor;
  readonly positions?: Tensor;
}
