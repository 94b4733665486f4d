import type { ParamSpec } from '../../contracts/index.js';
import { activations } from '../../nn/feedForward.js';
import { type NormWeights, norm, normSpec } from '../../nn/norm.js';
import { type Linear, linear, linearSpec, paramSpec } from '../../nn/param.js';
import type { Tensor } from '../../tensor/graph.js';
import { add, mul } from '../../tensor/ops/elementwise.js';
import { embedding } from '../../tensor/ops/indexing.js';
import { reshape } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { slice } from '../../tensor/ops/slicing.js';
import type { DecoderParts } from './parts.js';

/** Parameters of per-layer embeddings outside of the layers. L layers, P their width, V vocabulary, D hidden size. */
export interface PerLayerEmbeddings<T> {
  readonly embed_tokens_per_layer?: { /** [V, L*P] */ readonly weight: T };
  /** [D, L*P] */
  readonly per_layer_model_projection?: Linear<T>;
  readonly per_layer_projection_norm?: NormWeights<T>;
}

/** Parameters of per-layer embeddings in each layer. */
export interface PerLayerGate<T> {
  /** [D, P] */
  readonly per_layer_input_gate?: Linear<T>;
  /** [P, D] */
  readonly per_layer_projection?: Linear<T>;
  readonly post_per_layer_input_norm?: NormWeights<T>;
}

export function perLayerSpecs({ config, norm: kind }: DecoderParts): PerLayerEmbeddings<ParamSpec> {
  const { hidden_size: D, num_hidden_layers: L, hidden_size_per_layer_input: P, vocab_size: V } = config;
  if (P === 0) return {};
  return {
    embed_tokens_per_layer: { weight: paramSpec('embedding', [V, L * P], { kind: 'normal', std: 0.02 }) },
    per_layer_model_projection: linearSpec(D, L * P),
    per_layer_projection_norm: normSpec(kind, P),
  };
}

export function perLayerGateSpecs({ config, norm: kind, feedForward }: DecoderParts): PerLayerGate<ParamSpec> {
  const { hidden_size: D, hidden_size_per_layer_input: P } = config;
  if (P === 0) return {};
  return {
    per_layer_input_gate: linearSpec(D, P),
    per_layer_projection: linearSpec(P, D, { gain: feedForward.residual_gain }),
    post_per_layer_input_norm: normSpec(kind, D),
  };
}

/**
 * What each layer gets to know of its tokens [B, T, L, P] (Gemma 3n): a lookup of its own and a projection of the embedding e [B, T, D],
 *   p = (norm(e W / sqrt D) + sqrt(P) table[id]) / sqrt 2
 */
export function perLayerInputs(
  { config, norm: kind }: DecoderParts,
  weights: PerLayerEmbeddings<Tensor>,
  ids: Tensor,
  embedded: Tensor,
): Tensor | undefined {
  const { embed_tokens_per_layer: table, per_layer_model_projection: projection, per_layer_projection_norm: gain } = weights;
  if (!table || !projection || !gain) return undefined;
  const { hidden_size: D, num_hidden_layers: L, hidden_size_per_layer_input: P } = config;
  const each = (x: Tensor): Tensor => reshape(x, [dimOf(x, 0), dimOf(x, 1), L, P]);
  const projected = norm(kind, gain, each(mul(linear(projection, embedded), D ** -0.5)));
  return mul(add(projected, mul(each(embedding(ids, table.weight)), P ** 0.5)), 0.5 ** 0.5);
}

/** h + norm((act(h G) * p_l) W): a layer's output [B, T, D] with what it knows of its tokens. */
export function addPerLayerInput(
  { config, norm: kind }: DecoderParts,
  weights: PerLayerGate<Tensor>,
  h: Tensor,
  inputs: Tensor | undefined,
  index: number,
): Tensor {
  const { per_layer_input_gate: gate, per_layer_projection: projection, post_per_layer_input_norm: gain } = weights;
  if (!inputs || !gate || !projection || !gain) return h;
  const act = activations[config.per_layer_input_act] as (x: Tensor) => Tensor;
  const own = reshape(slice(inputs, [[], [], [index, index + 1]]), [dimOf(h, 0), dimOf(h, 1), config.hidden_size_per_layer_input]);
  return add(h, norm(kind, gain, linear(projection, mul(act(linear(gate, h)), own))));
}
