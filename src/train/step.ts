import type { ParamSpec, Settings } from '../contracts/index.js';
import type { Batch } from '../data/stream/batch.js';
import type { CausalModel, DecoderView } from '../models/index.js';
import type { ParamTree } from '../nn/param.js';
import {
  applyUpdates,
  chain,
  clipByGlobalNorm,
  type GradientTransform,
  globalNorm,
  type Leaves,
  mapLeaves,
  type OptimizerMethod,
  type OptState,
} from '../optim/transform/index.js';
import { type NDArray, zeros } from '../tensor/array.js';
import { compile, grad, type Tensor, VitroError } from '../tensor/index.js';
import { cast, le } from '../tensor/ops/elementwise.js';
import { sum } from '../tensor/ops/reduce.js';
import { splitKey } from '../tensor/random/threefry.js';
import { mapTree, type Tree, treeEntries, treeUnflatten } from '../tensor/tree.js';
import type { BatchTensors, ObjectiveLoss, ObjectiveMethod, ObjectiveSizes } from './objective/slot.js';

/** A method of a slot with complete settings. */
export interface Chosen<M> {
  readonly method: M;
  readonly settings: Settings;
}

/** What training changes from step to step. `params` holds the model's parameters and, under `objective`, those of the objective. */
export interface TrainState<T> {
  readonly params: ParamTree<T>;
  readonly optimizer: OptState<T>;
  /** exponential moving average of the model's parameters */
  readonly ema?: ParamTree<T>;
}

export interface StepOptions {
  readonly model: CausalModel;
  readonly objective: Chosen<ObjectiveMethod>;
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly sizes: ObjectiveSizes;
  /** 0 = no clipping */
  readonly max_grad_norm: number;
  /** 0 = none */
  readonly ema_decay: number;
  readonly threads?: number;
}

export interface StepInput {
  /** one batch, or several whose gradients add up to one step */
  readonly batches: readonly Batch[];
  /** arrays of each batch beside its tokens, which the loss reads as `extra`; those that `prepare` makes join them */
  readonly extra?: readonly Readonly<Record<string, NDArray>>[];
  /** parameters that the loss reads and the step leaves alone, by name (a reference model, an old policy) */
  readonly frozen?: Frozen<NDArray>;
  readonly rates: Readonly<Record<string, number>>;
  readonly key: NDArray;
  /** share of the run that is done, 0 to 1 */
  readonly progress: number;
}

/** A compiled training step. `run` consumes the state it is given. */
export interface TrainStep {
  readonly specs: Leaves<ParamSpec>;
  init(params: ParamTree<NDArray>): TrainState<NDArray>;
  run(state: TrainState<NDArray>, input: StepInput): Promise<{ state: TrainState<NDArray>; metrics: Record<string, number> }>;
  dispose(): void;
}

type Extra<T> = Readonly<Record<string, T>>;
/** Trees of parameters that are read and not trained, by name. */
export type Frozen<T> = Readonly<Record<string, ParamTree<T>>>;
/** What the loss of one batch reads beside the parameters that are trained. */
export interface LossInputs {
  readonly batch: BatchTensors;
  readonly extra: Extra<Tensor>;
  readonly frozen: Frozen<Tensor>;
  readonly key: Tensor;
  readonly progress: Tensor;
}
interface Inputs<T> {
  readonly batch: Data<T>;
  readonly extra: Extra<T>;
  readonly frozen: Frozen<T>;
}
interface Data<T> {
  readonly inputs: T;
  readonly targets: T;
  readonly segment_ids?: T;
  readonly positions?: T;
}

const byPath = <T>(tree: ParamTree<T>): Leaves<T> => Object.fromEntries(treeEntries(tree as Tree<T>));
const modelPart = <T>(params: ParamTree<T>): ParamTree<T> => {
  const { objective: _, ...model } = params;
  return model as ParamTree<T>;
};

const countedTargets = ({ targets }: Pick<BatchTensors, 'targets'>): Tensor => sum(cast(le(0, targets), 'f32'));

/** Specs of everything that is trained. */
export function trainedSpecs({ model, objective, sizes }: Pick<StepOptions, 'model' | 'objective' | 'sizes'>): ParamTree<ParamSpec> {
  const own = objective.method.specs?.(sizes, objective.settings);
  return own ? { ...model.specs, objective: own } : model.specs;
}

/** Builds the objective's loss at given parameters. */
export function lossBuilder(
  { model, objective }: Pick<StepOptions, 'model' | 'objective'>,
  { batch, extra, frozen, key, progress }: LossInputs,
): (params: ParamTree<Tensor>) => ObjectiveLoss {
  return (params: ParamTree<Tensor>): ObjectiveLoss => {
    const packed: DecoderView = {
      ...(batch.segment_ids ? { segment_ids: batch.segment_ids } : {}),
      ...(batch.positions ? { positions: batch.positions } : {}),
    };
    let plain: Tensor | undefined;
    return objective.method.loss({
      model,
      params,
      own: (params.objective ?? {}) as ParamTree<Tensor>,
      batch,
      extra,
      frozen,
      hidden: (view) => {
        if (view) return model.hidden(params, batch.inputs, { ...packed, ...view });
        plain ??= model.hidden(params, batch.inputs, packed);
        return plain;
      },
      key,
      progress,
      settings: objective.settings,
    });
  };
}

/** Compiles forward, backward, clipping and optimizer into one function (two where gradients of several batches add up). */
export function trainStep(options: StepOptions): TrainStep {
  const { optimizer, objective, sizes, max_grad_norm, ema_decay, threads } = options;
  const tree = trainedSpecs(options);
  const specs = byPath(tree);
  const needed = Object.keys(specs).filter(
    (path) => optimizer.method.needsGradient?.(specs[path] as ParamSpec, path, optimizer.settings) ?? true,
  );
  const own = optimizer.method.create(optimizer.settings);
  const transform: GradientTransform = max_grad_norm > 0 && needed.length > 0 ? chain(clipByGlobalNorm(max_grad_norm), own) : own;
  const pickNeeded = (params: ParamTree<Tensor>): Leaves<Tensor> => {
    const all = byPath(params);
    return Object.fromEntries(needed.map((path) => [path, all[path] as Tensor]));
  };

  /** The state after an update with these gradients. */
  const update = (
    state: TrainState<Tensor>,
    grads: Leaves<Tensor>,
    rates: Extra<Tensor>,
    key: Tensor,
    lossAt: (params: ParamTree<Tensor>) => Tensor,
  ): TrainState<Tensor> => {
    const params = byPath(state.params);
    const rebuild = (leaves: Leaves<Tensor>): ParamTree<Tensor> => treeUnflatten(state.params, Object.values(leaves)) as ParamTree<Tensor>;
    const probe = { key, lossAt: (leaves: Leaves<Tensor>) => lossAt(rebuild(mapLeaves(params, (_, path) => leaves[path] as Tensor))) };
    const { updates, state: next } = transform.update(grads, state.optimizer, { params, specs, rates, probe });
    const updated = rebuild(applyUpdates(params, updates));
    if (!state.ema) return { params: updated, optimizer: next };
    const fresh = byPath(modelPart(updated));
    const ema = mapLeaves(byPath(state.ema), (e, path) => e.mul(ema_decay).add((fresh[path] as Tensor).mul(1 - ema_decay)));
    return { params: updated, optimizer: next, ema: treeUnflatten(state.ema, Object.values(ema)) as ParamTree<Tensor> };
  };

  const whole = compile(
    (state: TrainState<Tensor>, { batch, extra, frozen }: Inputs<Tensor>, rates: Extra<Tensor>, keys: Extra<Tensor>, progress: Tensor) => {
      const build = lossBuilder(options, { batch, extra, frozen, key: keys.objective as Tensor, progress });
      const { loss, metrics } = build(state.params);
      const grads = needed.length > 0 ? grad(loss, pickNeeded(state.params)) : {};
      const next = update(state, grads, rates, keys.optimizer as Tensor, (params) => build(params).loss);
      return [next, { loss, ...(needed.length > 0 ? { grad_norm: globalNorm(grads) } : {}), ...metrics }] as const;
    },
    { name: 'training step', donate: [0], threads },
  );

  const accumulate = compile(
    (sums: Leaves<Tensor>, params: ParamTree<Tensor>, { batch, extra, frozen }: Inputs<Tensor>, key: Tensor, progress: Tensor) => {
      const { loss, metrics, count = countedTargets(batch) } = lossBuilder(options, { batch, extra, frozen, key, progress })(params);
      // each part's loss is a mean over its own items: weighted by their number, the parts add up to the mean over all
      const grads = grad(loss, pickNeeded(params));
      return [mapLeaves(sums, (s, path) => s.add((grads[path] as Tensor).mul(count))), { count, metrics: { loss, ...metrics } }] as const;
    },
    { name: 'gradient accumulation', donate: [0], threads },
  );
  const apply = compile(
    (state: TrainState<Tensor>, sums: Leaves<Tensor>, count: Tensor, rates: Extra<Tensor>, key: Tensor) => {
      const grads = mapLeaves(sums, (s) => s.div(count));
      const next = update(state, grads, rates, key, () => {
        throw new VitroError(`${optimizer.method.id} evaluates the loss itself: use gradient_accumulation_steps 1 with a larger batch`);
      });
      return [next, globalNorm(grads)] as const;
    },
    { name: 'optimizer step', donate: [0], threads },
  );

  // kept from step to step: nothing of the model's size is allocated in one
  let sums: Leaves<NDArray> | undefined;
  const zeroSums = (): Leaves<NDArray> => {
    if (!sums) return Object.fromEntries(needed.map((path) => [path, zeros((specs[path] as ParamSpec).shape)]));
    for (const s of Object.values(sums)) (s.data as Float32Array).fill(0);
    return sums;
  };
  const inputsOf = ({ batches, extra, frozen = {} }: StepInput, i: number): Inputs<NDArray> => {
    const batch = batches[i] as Batch;
    return { batch, extra: { ...extra?.[i], ...objective.method.prepare?.(batch, sizes, objective.settings) }, frozen };
  };
  const numbers = (values: Extra<NDArray>): Record<string, number> =>
    Object.fromEntries(Object.entries(values).map(([k, v]) => [k, v.item()]));

  return {
    specs,
    init: (params) => ({
      params,
      optimizer: transform.init(specs),
      ...(ema_decay > 0 ? { ema: mapTree(modelPart(params) as Tree<NDArray>, (p) => p.clone()) as ParamTree<NDArray> } : {}),
    }),
    run: async (state, input) => {
      const { batches, rates, key, progress } = input;
      const [objectiveKey, optimizerKey] = splitKey(key, 2) as [NDArray, NDArray];
      if (batches.length === 1) {
        const keys = { objective: objectiveKey, optimizer: optimizerKey };
        const [next, metrics] = await whole.run(state as never, inputsOf(input, 0) as never, rates, keys, progress);
        return { state: next as unknown as TrainState<NDArray>, metrics: numbers(metrics as unknown as Extra<NDArray>) };
      }
      const keys = splitKey(objectiveKey, batches.length);
      let added = zeroSums();
      let total = 0;
      const means: Record<string, number> = {};
      for (const i of batches.keys()) {
        const out = await accumulate.run(added, state.params as never, inputsOf(input, i) as never, keys[i] as NDArray, progress);
        added = out[0] as unknown as Leaves<NDArray>;
        const count = out[1].count.item();
        total += count;
        for (const [k, v] of Object.entries(numbers(out[1].metrics as unknown as Extra<NDArray>))) means[k] = (means[k] ?? 0) + v * count;
      }
      sums = added;
      const [next, gradNorm] = await apply.run(state as never, sums, Math.max(1, total), rates, optimizerKey);
      const metrics = Object.fromEntries(Object.entries(means).map(([k, v]) => [k, v / Math.max(1, total)]));
      return { state: next as unknown as TrainState<NDArray>, metrics: { ...metrics, grad_norm: gradNorm.item() } };
    },
    dispose: () => {
      whole.dispose();
      accumulate.dispose();
      apply.dispose();
    },
  };
}
