import type { Settings } from '../../contracts/index.js';
import { type AttentionConfig, type AttentionContext, type AttentionMethod, attentions } from '../../nn/attention/index.js';
import { activations, type FeedForwardConfig } from '../../nn/feedForward.js';
import type { NormConfig } from '../../nn/norm.js';
import { type PositionConfig, type PositionMethod, positions } from '../../nn/position/index.js';
import { routers } from '../../nn/router/index.js';
import { VitroError } from '../../tensor/errors.js';
import { completeConfig, type DecoderConfig, type FullDecoderConfig } from './config.js';

/** A decoder's config taken apart into what its layers need: chosen methods with complete settings. */
export interface DecoderParts {
  readonly config: FullDecoderConfig;
  readonly norm: NormConfig;
  readonly attention: AttentionMethod;
  readonly attentionContext: AttentionContext;
  readonly position: PositionMethod;
  readonly positionConfig: PositionConfig;
  /** of layers with full and with sliding attention */
  readonly positionSettings: { readonly full_attention: Settings; readonly sliding_attention: Settings };
  readonly feedForward: FeedForwardConfig;
  /** of each expert of a mixture */
  readonly expert: FeedForwardConfig;
}

function choose<M>(slot: string, id: string, table: Readonly<Record<string, M>>): M {
  const found = Object.hasOwn(table, id) ? table[id] : undefined;
  if (!found) throw new VitroError(`unknown ${slot} "${id}"; known: ${Object.keys(table).join(', ')}`);
  return found;
}

/** Looks up the methods that a config names and completes their settings. */
export function decoderParts(given: DecoderConfig): DecoderParts {
  const config = completeConfig(given);
  choose('hidden_act', config.hidden_act, activations);
  choose('per_layer_input_act', config.per_layer_input_act, activations);
  choose('router', config.router_method, routers);
  const attention = choose('attention', config.attention_method, attentions);
  const position = choose('position', config.position_method, positions);
  const norm: NormConfig = { kind: config.norm_type, eps: config.rms_norm_eps, offset: config.norm_offset };
  // what writes to the residual stream starts smaller by sqrt(2L) (GPT-2)
  const residual_gain = 1 / Math.sqrt(2 * config.num_hidden_layers);
  const attentionConfig: AttentionConfig = {
    hidden_size: config.hidden_size,
    num_attention_heads: config.num_attention_heads,
    num_key_value_heads: config.num_key_value_heads,
    head_dim: config.head_dim,
    attention_bias: config.attention_bias,
    attention_out_bias: config.attention_out_bias,
    qk_norm: config.qk_norm,
    norm,
    scale: config.query_pre_attn_scalar ** -0.5,
    softcap: config.attn_logit_softcapping ?? 0,
    residual_gain,
  };
  const feedForward: FeedForwardConfig = {
    hidden_size: config.hidden_size,
    intermediate_size: config.intermediate_size,
    hidden_act: config.hidden_act,
    gated: config.mlp_gated,
    mlp_bias: config.mlp_bias,
    residual_gain,
  };
  const shared: Settings = Object.hasOwn(position.defaults, 'rope_theta') ? { rope_theta: config.rope_theta } : {};
  const full = { ...position.defaults, ...shared, ...config.position_settings };
  const attentionContext: AttentionContext = { config: attentionConfig, settings: { ...attention.defaults, ...config.attention_settings } };
  const [heads, headSize] = attention.queryShape(attentionContext);
  return {
    config,
    norm,
    attention,
    attentionContext,
    position,
    positionConfig: {
      hidden_size: config.hidden_size,
      num_attention_heads: heads,
      head_dim: headSize,
      max_position_embeddings: config.max_position_embeddings,
    },
    positionSettings: { full_attention: full, sliding_attention: { ...full, ...config.local_position_settings } },
    feedForward,
    expert: { ...feedForward, intermediate_size: config.moe_intermediate_size },
  };
}
