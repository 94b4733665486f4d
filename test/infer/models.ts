import type { CausalModel } from '../../src/models/causalModel.js';
import { decoderModel, initModel, modelLogits } from '../../src/models/causalModel.js';
import type { DecoderConfig } from '../../src/models/decoder/index.js';
import type { ParamTree } from '../../src/nn/param.js';
import { array, type BackendName, compile, type NDArray, type Tensor, treeEntries } from '../../src/tensor/index.js';

export const tinyConfig: DecoderConfig = {
  vocab_size: 29,
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 24,
  max_position_embeddings: 80,
};

export interface TinyModel {
  readonly model: CausalModel;
  readonly params: ParamTree<NDArray>;
}

/** A model with larger weights than at the start, so that its distributions are far from uniform and from each other. */
export function tinyModel(change: Partial<DecoderConfig> = {}): TinyModel {
  const model = decoderModel({ ...tinyConfig, ...change });
  const params = initModel(model, 3);
  for (const [path, p] of treeEntries<NDArray>(params as never))
    if (p.shape.length > 1) {
      const data = p.data as Float32Array;
      for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (path.startsWith('embed') ? 12 : 3);
    }
  return { model, params };
}

/** Log-probabilities [V] of what follows a sequence, by one forward pass without a cache and a softmax in plain numbers. */
export async function nextLogps({ model, params }: TinyModel, ids: readonly number[], backend: BackendName): Promise<number[]> {
  const forward = compile((p: ParamTree<Tensor>, x: Tensor) => modelLogits(model, p, model.hidden(p, x)), { backend, threads: 1 });
  const out = (await forward.run(params as never, array([[...ids]], { dtype: 'i32' }))) as NDArray;
  forward.dispose();
  const logits = (out.toNested() as number[][][])[0]?.at(-1) as number[];
  const top = Math.max(...logits);
  const log = top + Math.log(logits.reduce((total, z) => total + Math.exp(z - top), 0));
  return logits.map((z) => z - log);
}

export const argmax = (xs: readonly number[]): number => xs.indexOf(Math.max(...xs));
