import type { ParamSpec } from '../../contracts/index.js';
import { type Experts, expertSpecs } from '../../nn/experts.js';
import { type FeedForward, feedForwardSpecs } from '../../nn/feedForward.js';
import { countParams, initParams } from '../../nn/init.js';
import { type NormWeights, normSpec } from '../../nn/norm.js';
import { type ParamTree, paramSpec } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { randomKey } from '../../tensor/random/threefry.js';
import { type Tree, treeEntries } from '../../tensor/tree.js';
import type { DecoderConfig } from './config.js';
import { type DecoderParts, decoderParts } from './parts.js';
import { type PerLayerEmbeddings, type PerLayerGate, perLayerGateSpecs, perLayerSpecs } from './perLayer.js';

/** Parameters of one block; which norms there are follows from norm_placement. */
export interface DecoderLayer<T> extends PerLayerGate<T> {
  /** before attention */
  readonly input_layernorm?: NormWeights<T>;
  readonly self_attn: ParamTree<T>;
  /** before the feed-forward (pre), or after attention (post, sandwich) */
  readonly post_attention_layernorm: NormWeights<T>;
  readonly pre_feedforward_layernorm?: NormWeights<T>;
  readonly post_feedforward_layernorm?: NormWeights<T>;
  readonly mlp: FeedForward<T> | Experts<T>;
}

/** Parameters as a plain tree: of specs, of host arrays or of tensors. Paths are those of Hugging Face's Llama without `model.`; matrices are stored [in, out]. */
export interface Decoder<T> extends PerLayerEmbeddings<T> {
  readonly embed_tokens: { /** [V, D] */ readonly weight: T };
  /** parameters of the position method, if it has any */
  readonly position?: ParamTree<T>;
  readonly layers: readonly DecoderLayer<T>[];
  readonly norm: NormWeights<T>;
  /** absent where the head is the embedding table */
  readonly lm_head?: { /** [V, D] */ readonly weight: T };
}

const gainSpec = ({ norm, config }: DecoderParts): NormWeights<ParamSpec> => normSpec(norm, config.hidden_size);

function layerSpecs(parts: DecoderParts, isMixture: boolean): DecoderLayer<ParamSpec> {
  const { config, attention, attentionContext, feedForward, expert } = parts;
  const { norm_placement } = config;
  return {
    ...(norm_placement === 'post' ? {} : { input_layernorm: gainSpec(parts) }),
    self_attn: attention.specs(attentionContext),
    post_attention_layernorm: gainSpec(parts),
    ...(norm_placement === 'sandwich' ? { pre_feedforward_layernorm: gainSpec(parts) } : {}),
    ...(norm_placement === 'pre' ? {} : { post_feedforward_layernorm: gainSpec(parts) }),
    mlp: isMixture ? expertSpecs(expert, config.num_experts) : feedForwardSpecs(feedForward),
    ...perLayerGateSpecs(parts),
  };
}

/** Shapes, roles and starting values of all parameters. */
export function decoderSpecs(given: DecoderConfig): Decoder<ParamSpec> {
  const parts = decoderParts(given);
  const { config, position, positionConfig, positionSettings } = parts;
  const { vocab_size: V, hidden_size: D } = config;
  const table = (): { weight: ParamSpec } => ({ weight: paramSpec('embedding', [V, D], { kind: 'normal', std: 0.02 }) });
  const own = position.specs?.(positionConfig, positionSettings.full_attention);
  return {
    embed_tokens: table(),
    ...(own ? { position: own } : {}),
    ...perLayerSpecs(parts),
    layers: config.moe_layers.map((isMixture) => layerSpecs(parts, isMixture)),
    norm: gainSpec(parts),
    ...(config.tie_word_embeddings ? {} : { lm_head: table() }),
  };
}

/** Parameters of one more layer, for a head that is trained beside the model: a block of the decoder's kind without experts, and the norm behind it. */
export interface ExtraLayer<T> {
  readonly layer: DecoderLayer<T>;
  readonly norm: NormWeights<T>;
}

export function extraLayerSpecs(config: DecoderConfig): ExtraLayer<ParamSpec> {
  const given = decoderParts(config);
  // an extra layer has no share in the per-layer embeddings
  const parts = { ...given, config: { ...given.config, hidden_size_per_layer_input: 0 } };
  return { layer: layerSpecs(parts, false), norm: gainSpec(parts) };
}

/** Starting parameters of a seed, on the host. */
export const initDecoder = (config: DecoderConfig, seed: number): Decoder<NDArray> =>
  initParams(decoderSpecs(config), randomKey(seed)) as unknown as Decoder<NDArray>;

export const decoderParameterCount = (config: DecoderConfig): number => countParams(decoderSpecs(config));

/** Parameters that multiply each token: all but lookup tables, with the share of the experts that a token uses. */
function activeParameters(config: DecoderConfig): number {
  const { config: full } = decoderParts(config);
  const used = Number(full.router_settings.num_experts_per_tok ?? 2) / Math.max(1, full.num_experts);
  const specs = treeEntries(decoderSpecs(config) as unknown as Tree<ParamSpec>);
  return specs.reduce((n, [path, { shape }]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    if (
      path.startsWith('position.') ||
      path.startsWith('embed_tokens_per_layer.') ||
      (path.startsWith('embed_tokens.') && !full.tie_word_embeddings)
    )
      return n;
    return n + (path.includes('.experts.') ? size * used : size);
  }, 0);
}

/**
 * Floating-point operations of training per token at the full context: 6 N for the matrix products of forward and backward (a tied table counts
 * once, as head) plus three times the attention's own, counted full, not causal (PaLM, arXiv:2204.02311, appendix B). Forward alone is a third.
 */
export function decoderTrainFlopsPerToken(config: DecoderConfig, context = config.max_position_embeddings): number {
  const { attention, attentionContext } = decoderParts(config);
  return 6 * activeParameters(config) + 3 * config.num_hidden_layers * attention.flopsPerToken(attentionContext, context);
}

/** Floating-point operations of training an extra layer, for one token; counted as those of the model's own layers. */
export function extraLayerTrainFlopsPerToken(config: DecoderConfig, context = config.max_position_embeddings): number {
  const { attention, attentionContext } = decoderParts(config);
  return 6 * countParams(extraLayerSpecs(config)) + 3 * attention.flopsPerToken(attentionContext, context);
}
