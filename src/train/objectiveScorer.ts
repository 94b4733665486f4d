import type { SequenceBatch } from '../data/examples/index.js';
import type { CausalModel } from '../models/index.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { compile } from '../tensor/compile/compile.js';
import type { Tensor } from '../tensor/graph.js';
import { cast, ge } from '../tensor/ops/elementwise.js';
import { sum } from '../tensor/ops/reduce.js';
import { randomKey } from '../tensor/random/threefry.js';
import type { BatchTensors, ObjectiveMethod } from './objective/slot.js';
import { type Chosen, type Frozen, lossBuilder } from './step.js';

type Arrays<T> = Readonly<Record<string, T>>;

/** Loss and metrics of an objective on batches that are not trained on. Compiled once for each shape. */
export class ObjectiveScorer {
  readonly #run: (
    params: ParamTree<NDArray>,
    batch: SequenceBatch,
    frozen: Frozen<NDArray>,
  ) => Promise<{ readonly count: NDArray; readonly metrics: Arrays<NDArray> }>;
  readonly #dispose: () => void;

  constructor(model: CausalModel, objective: Chosen<ObjectiveMethod>, options: { readonly threads?: number } = {}) {
    const compiled = compile(
      (params: ParamTree<Tensor>, batch: BatchTensors, extra: Arrays<Tensor>, frozen: Frozen<Tensor>, key: Tensor, progress: Tensor) => {
        const build = lossBuilder({ model, objective }, { batch, extra, frozen, key, progress });
        const { loss, metrics, count = sum(cast(ge(batch.targets, 0), 'f32')) } = build(params);
        return { count, metrics: { loss, ...metrics } };
      },
      { name: 'evaluation', ...options },
    );
    const key = randomKey(0);
    this.#run = async (params, { extra, ...batch }, frozen) =>
      (await compiled.run(params as never, batch as never, extra as never, frozen as never, key, 1)) as never;
    this.#dispose = () => compiled.dispose();
  }

  /** Means over all batches, weighted by what each loss is a mean over. */
  async score(
    params: ParamTree<NDArray>,
    batches: readonly SequenceBatch[],
    { frozen = {}, signal }: { readonly frozen?: Frozen<NDArray>; readonly signal?: AbortSignal } = {},
  ): Promise<Record<string, number>> {
    const totals: Record<string, number> = {};
    let total = 0;
    for (const batch of batches) {
      signal?.throwIfAborted();
      const { count, metrics } = await this.#run(params, batch, frozen);
      const n = count.item();
      total += n;
      for (const [name, value] of Object.entries(metrics)) totals[name] = (totals[name] ?? 0) + n * value.item();
    }
    return Object.fromEntries(Object.entries(totals).map(([name, value]) => [name, value / Math.max(1, total)]));
  }

  dispose(): void {
    this.#dispose();
  }
}
