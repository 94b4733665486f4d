import type { ParamSpec, Settings } from '../../../src/contracts/index.js';
import { type CausalModel, type DecoderConfig, decoderModel, initModel } from '../../../src/models/index.js';
import { initParams } from '../../../src/nn/init.js';
import type { ParamTree } from '../../../src/nn/param.js';
import {
  type BackendName,
  compile,
  grad,
  NDArray,
  randomKey,
  type Tensor,
  type Tree,
  treeEntries,
  treeUnflatten,
} from '../../../src/tensor/index.js';
import type { BatchTensors, ObjectiveContext, ObjectiveMethod } from '../../../src/train/objective/index.js';

/** A decoder of few numbers, with positions beyond the batch's context and a table of its own for the head. */
export const config: DecoderConfig = {
  vocab_size: 7,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 6,
  max_position_embeddings: 16,
  tie_word_embeddings: false,
};
export const model: CausalModel = decoderModel(config);

/** Starting values are nearly uniform predictions; larger ones make every part count. */
export function enlarged<T>(params: T, factor = 4): T {
  for (const [path, p] of treeEntries<NDArray>(params as Tree<NDArray>)) {
    if (p.shape.length === 1) continue;
    const data = p.data as Float32Array;
    for (let i = 0; i < data.length; i++)
      data[i] = (data[i] as number) * (/embed|head/.test(path) && p.shape[0] === config.vocab_size ? 10 * factor : factor);
  }
  return params;
}

export const params = enlarged(initModel(model, 3));

/** Starting values of a method's own parameters; vectors of zeros get values, so that they count. */
export function ownParams(method: ObjectiveMethod, settings: Settings, context = 6): ParamTree<NDArray> {
  const specs = method.specs?.({ model, batch_size: 3, context }, { ...method.defaults, ...settings });
  if (!specs) return {};
  const own = enlarged(initParams(specs as ParamTree<ParamSpec>, randomKey(5)) as unknown as ParamTree<NDArray>, 2);
  for (const [path, p] of treeEntries<NDArray>(own as Tree<NDArray>))
    if (path.endsWith('bias')) (p.data as Float32Array).set(p.toNumbers().map((_, i) => Math.sin(i + 1)));
  return own;
}

const i32 = (rows: readonly (readonly number[])[]): NDArray =>
  new NDArray('i32', [rows.length, rows[0]?.length ?? 0], Int32Array.from(rows.flat()));

export interface Rows {
  readonly inputs: readonly (readonly number[])[];
  readonly targets: readonly (readonly number[])[];
  readonly segment_ids?: readonly (readonly number[])[];
  readonly positions?: readonly (readonly number[])[];
}

/** Three rows of six tokens: plain text, one with holes in its targets and repeated tokens, one that begins with a prompt. */
export const rows: Rows = {
  inputs: [
    [3, 1, 4, 1, 5, 2],
    [2, 6, 5, 3, 5, 5],
    [0, 4, 6, 6, 1, 3],
  ],
  targets: [
    [1, 4, 1, 5, 2, 6],
    [6, 5, -1, 5, 5, -1],
    [-1, -1, 6, 1, 3, 0],
  ],
};

export type BatchArrays = Readonly<Record<keyof BatchTensors, NDArray>>;

export const batchOf = (given: Rows): BatchArrays =>
  Object.fromEntries(Object.entries(given).map(([name, values]) => [name, i32(values as number[][])])) as unknown as BatchArrays;

/** The context of a loss inside a graph, as a training loop makes it. */
export function contextOf(
  tensors: { readonly params: ParamTree<Tensor>; readonly own: ParamTree<Tensor>; readonly batch: BatchTensors; readonly key: Tensor },
  settings: Settings,
): ObjectiveContext {
  const { batch } = tensors;
  const view = {
    ...(batch.positions ? { positions: batch.positions } : {}),
    ...(batch.segment_ids ? { segment_ids: batch.segment_ids } : {}),
  };
  const plain = model.hidden(tensors.params, batch.inputs, view);
  return {
    ...tensors,
    model,
    extra: {},
    hidden: (own) => (own ? model.hidden(tensors.params, batch.inputs, own) : plain),
    progress: tensors.key.cast('f32').sum().mul(0),
    settings,
  };
}

export interface Outcome {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** by path, of the model's parameters and of the method's own */
  readonly grads: Readonly<Record<string, number[]>>;
}

export interface RunOptions {
  readonly settings?: Settings;
  readonly batch?: Rows;
  readonly key?: number;
  readonly own?: ParamTree<NDArray>;
  readonly backend?: BackendName;
}

const compileLoss = (method: ObjectiveMethod, settings: Settings, backend: BackendName) =>
  compile(
    (trees: { model: ParamTree<Tensor>; own: ParamTree<Tensor> }, batch: BatchTensors, key: Tensor) => {
      const { loss, metrics = {} } = method.loss(contextOf({ params: trees.model, own: trees.own, batch, key }, settings));
      return { loss, metrics, grads: grad(loss, trees as never) };
    },
    { backend },
  );

/** Makes something once for each list of names: the tests ask for the same compiled functions over and over. */
export function once<T>(make: () => T, made: Map<string, T>, ...names: readonly unknown[]): T {
  const name = JSON.stringify(names);
  const known = made.get(name) ?? make();
  made.set(name, known);
  return known;
}

const losses = new Map<string, ReturnType<typeof compileLoss>>();

/** Loss and gradients of a method on a batch, by default on the float64 reference. */
export async function runObjective(method: ObjectiveMethod, options: RunOptions = {}): Promise<Outcome> {
  const settings = { ...method.defaults, ...options.settings };
  const backend = options.backend ?? 'reference';
  const step = once(() => compileLoss(method, settings, backend), losses, method.id, settings, backend);
  const own = options.own ?? ownParams(method, options.settings ?? {});
  const out = await step.run(
    { model: params, own } as never,
    batchOf(options.batch ?? rows) as never,
    randomKey(options.key ?? 11) as never,
  );
  return {
    loss: (out.loss as NDArray).item(),
    metrics: Object.fromEntries(Object.entries(out.metrics).map(([name, x]) => [name, (x as NDArray).item()])),
    grads: Object.fromEntries(treeEntries<NDArray>(out.grads as Tree<NDArray>).map(([path, x]) => [path, x.toNumbers()])),
  };
}

/** Largest difference of two records of gradients; parameters that one side lacks count as 0 there. */
export function gradientGap(a: Outcome, b: Outcome): number {
  const paths = new Set([...Object.keys(a.grads), ...Object.keys(b.grads)]);
  return Math.max(
    ...[...paths].map((path) => {
      const [x, y] = [a.grads[path] ?? [], b.grads[path] ?? []];
      return Math.max(...Array.from({ length: Math.max(x.length, y.length) }, (_, i) => Math.abs((x[i] ?? 0) - (y[i] ?? 0))));
    }),
  );
}

/** The tree moved by `step` times a fixed direction of values in (-1, 1); and that direction, flat by path. */
export function moved<T>(tree: T, step: number): { readonly tree: T; readonly direction: Readonly<Record<string, number[]>> } {
  let state = 12345;
  const next = (): number => {
    state = (state * 48271) % 2147483647;
    return (2 * state) / 2147483647 - 1;
  };
  const entries = treeEntries<NDArray>(tree as Tree<NDArray>).map(([path, p]) => ({ path, p, d: Array.from({ length: p.size }, next) }));
  const arrays = entries.map(
    ({ p, d }) =>
      new NDArray(
        'f32',
        p.shape,
        Float32Array.from(p.toNumbers(), (x, i) => x + step * (d[i] as number)),
      ),
  );
  return {
    tree: treeUnflatten(tree as Tree<NDArray>, arrays) as T,
    direction: Object.fromEntries(entries.map(({ path, d }) => [path, d])),
  };
}
