import type { ParamSpec } from '../../src/contracts/index.js';
import { type Decoder, type DecoderConfig, decoderLoss, decoderSpecs } from '../../src/models/decoder/index.js';
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

/** The fixture's initial weights by our paths: its fused matrices hold q | k | v and gate | up side by side. */
function fixtureWeights(c: DecoderFixture['config']): (path: string) => Float32Array {
  const names: readonly (readonly [RegExp, string, number, number])[] = [
    [/^embed_tokens\.weight$/, 'embed', 0, 1],
    [/^norm\.weight$/, 'norm', 0, 1],
    [/input_layernorm\.weight$/, 'norm1', 0, 1],
    [/post_attention_layernorm\.weight$/, 'norm2', 0, 1],
    [/q_proj\.weight$/, 'qkv', 0, 3],
    [/k_proj\.weight$/, 'qkv', 1, 3],
    [/v_proj\.weight$/, 'qkv', 2, 3],
    [/o_proj\.weight$/, 'out', 0, 1],
    [/gate_proj\.weight$/, 'gateUp', 0, 2],
    [/up_proj\.weight$/, 'gateUp', 1, 2],
    [/down_proj\.weight$/, 'down', 0, 1],
  ];
  const shapes = decoderShapes(c);
  return (path) => {
    const [, name, part, parts] = names.find(([pattern]) => pattern.test(path)) ?? [undefined, path, 0, 1];
    const layer = /^layers\.\d+\./.exec(path)?.[0] ?? '';
    const k = shapes.findIndex(([n]) => n === layer + name);
    const [, shape] = shapes[k] as [string, number[]];
    const whole = decoderWeights(k, shape);
    const width = shape.at(-1) as number;
    const own = width / parts;
    return Float32Array.from(
      { length: whole.length / parts },
      (_, i) => whole[Math.floor(i / own) * width + part * own + (i % own)] as number,
    );
  };
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
  const starts = fixtureWeights(c);
  let state: State<NDArray> = {
    params: mapLeaves(specs, ({ shape }, path) => new NDArray('f32', shape, starts(path))),
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
