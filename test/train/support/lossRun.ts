import type { SequenceBatch } from '../../../src/data/examples/index.js';
import { type CausalModel, type DecoderConfig, decoderModel, initModel } from '../../../src/models/index.js';
import { initParams } from '../../../src/nn/init.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { type BackendName, compile, grad, NDArray, randomKey, type Tensor, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { constant } from '../../../src/tensor/ops/operand.js';
import type { BatchTensors, ObjectiveMethod } from '../../../src/train/objective/index.js';
import { type Frozen, lossBuilder } from '../../../src/train/step.js';

/** A model whose parameters are its logits: rows of states [B, T, V] under the unit matrix as the head. */
export function tabular(vocab_size: number): CausalModel {
  const unit = Float32Array.from({ length: vocab_size ** 2 }, (_, i) => (i % (vocab_size + 1) === 0 ? 1 : 0));
  return {
    vocab_size,
    hidden_size: vocab_size,
    specs: {},
    hidden: (params: ParamTree<Tensor>) => params.states,
    head: () => ({ table: constant(new NDArray('f32', [vocab_size, vocab_size], unit)), softcap: 0 }),
  } as unknown as CausalModel;
}

/** A decoder of few numbers. */
export const config: DecoderConfig = {
  vocab_size: 7,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 6,
  max_position_embeddings: 16,
  tie_word_embeddings: false,
};
export const model: CausalModel = decoderModel(config);

/** Starting values are nearly uniform predictions; larger ones make every part count. */
export function enlarged(params: ParamTree<NDArray>, factor = 4): ParamTree<NDArray> {
  for (const [path, p] of treeEntries<NDArray>(params as Tree<NDArray>)) {
    if (p.shape.length === 1) continue;
    const data = p.data as Float32Array;
    const scale = /embed|head/.test(path) ? 10 * factor : factor;
    for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * scale;
  }
  return params;
}

export const decoderParams = (seed: number): ParamTree<NDArray> => enlarged(initModel(model, seed));

/** The objective's own parameters, moved away from zero. */
export function ownParams(method: ObjectiveMethod, examples: number): ParamTree<NDArray> {
  const specs = method.specs?.({ model, batch_size: 4, context: 8, examples }, {});
  if (!specs) return {};
  const own = initParams(specs, randomKey(5)) as unknown as ParamTree<NDArray>;
  for (const [, p] of treeEntries<NDArray>(own as Tree<NDArray>))
    (p.data as Float32Array).forEach((x, i, data) => {
      data[i] = 2 * x + 0.3 * Math.sin(i + 1);
    });
  return own;
}

export interface Outcome {
  readonly loss: number;
  readonly count: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** by path, of the model's parameters and of the objective's own */
  readonly grads: Readonly<Record<string, number[]>>;
}

export interface RunInputs {
  readonly params: ParamTree<NDArray>;
  readonly own?: ParamTree<NDArray>;
  readonly frozen?: Frozen<NDArray>;
  readonly batch: SequenceBatch;
  readonly key?: number;
  readonly progress?: number;
}

/** Compiles an objective's loss and gradients once, for many runs. */
export function lossRunner(of: CausalModel, method: ObjectiveMethod, backend: BackendName = 'reference') {
  const compiled = compile(
    (
      trees: { model: ParamTree<Tensor>; own: ParamTree<Tensor> },
      batch: BatchTensors,
      extra: Readonly<Record<string, Tensor>>,
      frozen: Frozen<Tensor>,
      key: Tensor,
      progress: Tensor,
    ) => {
      const build = lossBuilder({ model: of, objective: { method, settings: {} } }, { batch, extra, frozen, key, progress });
      const { loss, metrics = {}, count } = build({ ...trees.model, objective: trees.own });
      return { loss, count: count as Tensor, metrics, grads: grad(loss, trees as never) };
    },
    { backend },
  );
  return async ({ params, own = {}, frozen = {}, batch: { extra, ...batch }, key = 11, progress = 0.5 }: RunInputs): Promise<Outcome> => {
    const out = await compiled.run(
      { model: params, own } as never,
      batch as never,
      extra as never,
      frozen as never,
      randomKey(key) as never,
      progress as never,
    );
    return {
      loss: (out.loss as NDArray).item(),
      count: (out.count as NDArray).item(),
      metrics: Object.fromEntries(Object.entries(out.metrics).map(([name, x]) => [name, (x as NDArray).item()])),
      grads: Object.fromEntries(treeEntries<NDArray>(out.grads as Tree<NDArray>).map(([path, x]) => [path, x.toNumbers()])),
    };
  };
}

/** Largest difference of two records of gradients; what one side lacks counts as 0. */
export function gradientGap(a: Outcome, b: Outcome): number {
  const paths = [...new Set([...Object.keys(a.grads), ...Object.keys(b.grads)])];
  return Math.max(
    ...paths.flatMap((path) => {
      const [x, y] = [a.grads[path] ?? [], b.grads[path] ?? []];
      return Array.from({ length: Math.max(x.length, y.length) }, (_, i) => Math.abs((x[i] ?? 0) - (y[i] ?? 0)));
    }),
  );
}

/** Every array of a tree moved by `step` times values in (-1, 1) that depend on their place; and those values by path. */
export function moved(tree: ParamTree<NDArray>, step: number): { tree: ParamTree<NDArray>; direction: Record<string, number[]> } {
  const direction: Record<string, number[]> = {};
  let state = 12345;
  const walk = (node: ParamTree<NDArray> | NDArray, path: string): ParamTree<NDArray> | NDArray => {
    if (node instanceof NDArray) {
      const d = Array.from({ length: node.size }, () => {
        state = (state * 48271) % 2147483647;
        return (2 * state) / 2147483647 - 1;
      });
      direction[path] = d;
      const data = Float32Array.from(node.toNumbers(), (x, i) => x + step * (d[i] as number));
      return new NDArray('f32', node.shape, data);
    }
    if (Array.isArray(node)) return node.map((n, i) => walk(n as NDArray, `${path}.${i}`)) as unknown as ParamTree<NDArray>;
    return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, walk(v as NDArray, path ? `${path}.${k}` : k)]));
  };
  return { tree: walk(tree, '') as ParamTree<NDArray>, direction };
}
