import { type Experts, mixtureOfExperts } from '../../nn/experts.js';
import { type FeedForward, feedForward } from '../../nn/feedForward.js';
import { type Head, headLoss } from '../../nn/head.js';
import { type NormWeights, norm } from '../../nn/norm.js';
import type { AppliedPosition, Positions } from '../../nn/position/index.js';
import type { Dim } from '../../tensor/dim.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { checkpoint } from '../../tensor/ops/control.js';
import { add, mul } from '../../tensor/ops/elementwise.js';
import { embedding } from '../../tensor/ops/indexing.js';
import { segmentMask } from '../../tensor/ops/mask.js';
import { unsqueeze } from '../../tensor/ops/movement.js';
import { site } from '../../tensor/site.js';
import type { DecoderConfig, FullDecoderConfig } from './config.js';
import { type DecoderParts, decoderParts } from './parts.js';
import { addPerLayerInput, perLayerInputs } from './perLayer.js';
import type { Decoder, DecoderLayer, ExtraLayer } from './specs.js';

/** How a batch of tokens is looked at. */
export interface DecoderView {
  /** i32 [B, T]: where the tokens stand, below max_position_embeddings; default 0, 1, ... in every row */
  readonly positions?: Tensor;
  /** i32 [B, T]: tokens see only tokens of their own segment (packed documents) */
  readonly segment_ids?: Tensor;
}

export interface DecoderOptions extends DecoderView {
  /** compute each layer again in the backward pass instead of keeping its values; the layers then share one compiled function */
  readonly checkpointLayers?: boolean;
}

/** Attention of layer `index`: normalised x [B, T, D] -> [B, T, D]. */
export type AttendLayer = (layer: DecoderLayer<Tensor>, x: Tensor, index: number) => Tensor;

/** The layer's feed-forward or mixture of experts. */
function feed(parts: DecoderParts, layer: DecoderLayer<Tensor>, x: Tensor, index: number): Tensor {
  const name = `layers.${index}.mlp`;
  const { router_method: method, router_settings: settings } = parts.config;
  const out = parts.config.moe_layers[index]
    ? mixtureOfExperts(parts.expert, { method, settings }, layer.mlp as Experts<Tensor>, x, name)
    : feedForward(parts.feedForward, layer.mlp as FeedForward<Tensor>, x, name);
  return site(`${name}.output`, out);
}

/** One block: x [B, T, D] -> [B, T, D]; `inputs` is what the layers get to know of their tokens, where there are per-layer embeddings. */
export function decoderBlock(
  parts: DecoderParts,
  layer: DecoderLayer<Tensor>,
  x: Tensor,
  index: number,
  attend: AttendLayer,
  inputs?: Tensor,
): Tensor {
  const { norm_placement, parallel_residual } = parts.config;
  const normed = (weights: NormWeights<Tensor> | undefined, h: Tensor): Tensor => (weights ? norm(parts.norm, weights, h) : h);
  const input = site(`layers.${index}.input`, x);
  const attended = site(`layers.${index}.attn.output`, attend(layer, normed(layer.input_layernorm, input), index));
  const after = norm_placement === 'pre' ? attended : normed(layer.post_attention_layernorm, attended);
  const h = add(input, after);
  const read = parallel_residual ? input : h;
  const before = norm_placement === 'pre' ? layer.post_attention_layernorm : layer.pre_feedforward_layernorm;
  const fed = normed(layer.post_feedforward_layernorm, feed(parts, layer, normed(before, read), index));
  return site(`layers.${index}.output`, addPerLayerInput(parts, layer, add(h, fed), inputs, index));
}

/** Attention over the tokens of the call themselves, causal, as training does it. */
function attendWithin(parts: DecoderParts, segments: Tensor | undefined, applied: ReadonlyMap<string, AppliedPosition>): AttendLayer {
  const { attention, attentionContext: context, config } = parts;
  const mask = segments ? unsqueeze(segmentMask(segments), 1) : undefined;
  return (layer, x, index) => {
    const name = `layers.${index}.attn`;
    const type = config.layer_types[index] ?? 'full_attention';
    const position = positionOf(parts, applied, index);
    const heads = attention.project(layer.self_attn, x, context);
    const turn = position.rotate ?? ((h: Tensor) => h);
    const late = attention.makesKeysLate?.(context) ?? false;
    const keys = late ? heads.k : turn(heads.k);
    const [q, k, v] = [site(`${name}.q`, turn(heads.q)), site(`${name}.k`, keys), site(`${name}.v`, heads.v)];
    const view = {
      causal: true,
      window: type === 'sliding_attention' ? (config.sliding_window ?? 0) : 0,
      scale: context.config.scale,
      softcap: context.config.softcap,
      name,
      ...(mask ? { mask } : {}),
      ...(position.bias ? { bias: position.bias } : {}),
      ...(late && position.rotateKeys ? { rotateKeys: position.rotateKeys } : {}),
    };
    const mixed = site(`${name}.mixed`, attention.attend(layer.self_attn, { q, k, v }, view, context));
    return attention.output(layer.self_attn, mixed, x, context);
  };
}

/** What the position method does in layer `index`: that of its type, or nothing. */
export function positionOf(parts: DecoderParts, applied: ReadonlyMap<string, AppliedPosition>, index: number): AppliedPosition {
  const { layer_types, position_layers } = parts.config;
  return position_layers[index] ? (applied.get(layer_types[index] ?? 'full_attention') ?? {}) : {};
}

/** What the position method does in layers of each type. */
export function applyPositions(
  parts: DecoderParts,
  params: Pick<Decoder<Tensor>, 'position'>,
  queries: Positions,
  keys: Positions,
): Map<'full_attention' | 'sliding_attention', AppliedPosition> {
  const types = [...new Set(parts.config.layer_types)];
  const weights = params.position ?? {};
  return new Map(
    types.map((type) => [
      type,
      parts.position.apply({ config: parts.positionConfig, settings: parts.positionSettings[type], weights, queries, keys }),
    ]),
  );
}

/** Embeddings [B, T, D] of token ids [B, T], scaled and with absolute positions. */
export function embedTokens(parts: DecoderParts, params: Decoder<Tensor>, ids: Tensor, applied: Iterable<AppliedPosition>): Tensor {
  const rows = embedding(ids, params.embed_tokens.weight);
  const scaled = parts.config.embedding_scale === 1 ? rows : mul(rows, parts.config.embedding_scale);
  const [first] = applied;
  return site('embed', first?.embed ? first.embed(scaled) : scaled);
}

/** Where `time` tokens of a batch stand under a view. */
function positionsOf(config: FullDecoderConfig, time: Dim | undefined, view: DecoderView): Positions {
  const limit = config.max_position_embeddings;
  if (typeof time !== 'number' && view.positions) return { ids: view.positions, limit };
  if (typeof time !== 'number' || time > limit)
    throw new VitroError(
      `decoder: the tokens must be [B, T] with a fixed T of at most ${limit} (or any T with positions given), got T = ${time}`,
    );
  return view.positions ? { ids: view.positions, limit } : { count: time };
}

/** Last hidden states [B, T, D] (after the final norm) of token ids [B, T], T at most the context. */
export function decoderHidden(config: DecoderConfig, params: Decoder<Tensor>, ids: Tensor, options: DecoderOptions = {}): Tensor {
  const parts = decoderParts(config);
  if (ids.rank !== 2) throw new VitroError(`decoder: ids must be [B, T], got [${ids.shape.join(', ')}]`);
  const positions = positionsOf(parts.config, ids.shape[1], options);
  const applied = applyPositions(parts, params, positions, positions);
  const attend = attendWithin(parts, options.segment_ids, applied);
  const first = embedTokens(parts, params, ids, applied.values());
  const inputs = perLayerInputs(parts, params, ids, first);
  const x = params.layers.reduce((h, layer, index) => {
    const block = (input: Tensor, own: DecoderLayer<Tensor>): Tensor => decoderBlock(parts, own, input, index, attend, inputs);
    return options.checkpointLayers ? checkpoint(block, { label: 'layer' })(h, layer) : block(h, layer);
  }, first);
  return site('norm', norm(parts.norm, params.norm, x));
}

/** One more layer over hidden states [B, T, D], with the norm behind it: [B, T, D]. Its attention sees as far as the model's last layer. */
export function decoderExtraLayer(
  given: DecoderConfig,
  params: Decoder<Tensor>,
  weights: ExtraLayer<Tensor>,
  x: Tensor,
  view: DecoderView = {},
): Tensor {
  const own = decoderParts(given);
  const { layer_types, moe_layers, position_layers, num_hidden_layers: index } = own.config;
  const last = <T>(perLayer: readonly T[]): readonly T[] => [...perLayer, ...perLayer.slice(-1)];
  const config = {
    ...own.config,
    layer_types: last(layer_types),
    position_layers: last(position_layers),
    moe_layers: [...moe_layers, false],
  };
  const parts = { ...own, config };
  const positions = positionsOf(parts.config, x.shape[1], view);
  const attend = attendWithin(parts, view.segment_ids, applyPositions(parts, params, positions, positions));
  return norm(parts.norm, weights.norm, decoderBlock(parts, weights.layer, x, index, attend));
}

/** What turns hidden states into logits. */
export const decoderHead = (config: DecoderConfig, params: Decoder<Tensor>): Head => ({
  table: (params.lm_head ?? params.embed_tokens).weight,
  softcap: config.final_logit_softcapping ?? 0,
});

/** Mean cross-entropy in nats of predicting `targets` [B, T] from `inputs` [B, T]; targets below 0 do not count. */
export const decoderLoss = (
  config: DecoderConfig,
  params: Decoder<Tensor>,
  inputs: Tensor,
  targets: Tensor,
  options: DecoderOptions = {},
): Tensor => headLoss(decoderHead(config, params), decoderHidden(config, params, inputs, options), targets);
