import type { ParamSpec } from '../../src/contracts/index.js';
import { type Decoder, type DecoderConfig, decoderLoss, decoderSpecs } from '../../src/models/decoder.js';
import { scaleByAdam } from '../../src/optim/transform/adam.js';
import {
  addDecayedWeights,
  applyUpdates,
  chain,
  clipByGlobalNorm,
  type Leaves,
  mapLeaves,
  type OptState,
  scaleByRate,
} from '../../src/optim/transform/index.js';
import { array, type CompileOptions, compile, grad, NDArray, type Tensor } from '../../src/tensor/index.js';
import { type Tree, treeEntries, treeUnflatten } from '../../src/tensor/tree.js';
import { type DecoderFixture, decoderShapes, decoderTokens, decoderWeights } from '../tensor/decoder.js';

interface State<T> {
  readonly params: Leaves<T>;
  readonly optimizer: OptState<T>;
}

/** The arguments of trainDecoder. */
export type TrainingRequest = Parameters<typeof trainDecoder>;

/**
 * The run that fixtures/torch/decoder.py describes, as a user writes it: model, clipping and AdamW in one compiled step over donated state.
 * Returns the loss of every step. Needs nothing that a browser does not have.
 */
export async function trainDecoder(c: DecoderFixture['config'], options: CompileOptions, steps: number = c.steps): Promise<number[]> {
  const model: DecoderConfig = {
    vocab_size: c.vocab,
    hidden_size: c.width,
    num_hidden_layers: c.layers,
    num_attention_heads: c.heads,
    intermediate_size: c.ffn,
    max_position_embeddings: c.context,
    rms_norm_eps: c.normEps,
    rope_theta: c.ropeBase,
  };
  const tree = decoderSpecs(model);
  const specs = Object.fromEntries(treeEntries(tree as unknown as Tree<ParamSpec>));
  const transform = chain(
    clipByGlobalNorm(c.clipNorm),
    scaleByAdam(c.beta1, c.beta2, c.eps),
    addDecayedWeights(c.weightDecay, () => true),
    scaleByRate('learning_rate'),
  );
  const step = compile(
    (state: State<Tensor>, inputs: Tensor, targets: Tensor, rates: { readonly learning_rate: Tensor }) => {
      const params = treeUnflatten(tree, Object.values(state.params)) as Decoder<Tensor>;
      const loss = decoderLoss(model, params, inputs, targets);
      const grads = grad(loss, state.params);
      const { updates, state: optimizer } = transform.update(grads, state.optimizer, { params: state.params, specs, rates });
      return [{ params: applyUpdates(state.params, updates), optimizer }, loss] as const;
    },
    { ...options, donate: [0] },
  );
  const row = c.context + 1;
  const stream = decoderTokens(steps * c.batch * row, c.vocab);
  const tokens = (s: number, shift: number): NDArray =>
    array(
      Array.from({ length: c.batch }, (_, b) => stream.slice((s * c.batch + b) * row + shift).slice(0, c.context)),
      { dtype: 'i32' },
    );
  const order = decoderShapes(c).map(([name]) => name);
  let state: State<NDArray> = {
    params: mapLeaves(specs, ({ shape }, path) => new NDArray('f32', shape, Float32Array.from(decoderWeights(order.indexOf(path), shape)))),
    optimizer: transform.init(specs),
  };
  const losses: number[] = [];
  for (let s = 0; s < steps; s++) {
    const [next, loss] = await step.run(state, tokens(s, 0), tokens(s, 1), { learning_rate: c.lr });
    state = next;
    losses.push(loss.item());
  }
  step.dispose();
  return losses;
}
