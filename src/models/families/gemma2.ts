import type { DecoderConfig, FullDecoderConfig } from '../decoder/config.js';
import { attentionBiases, commonFields, commonJson, llamaLayout, windowFields } from './common.js';
import type { ConfigJson, ConfigReader } from './configReader.js';
import type { Family } from './family.js';

/** What Gemma 2 and 3 share: gains stored minus one, norms around both halves of a block, scaled embeddings, caps. */
export function gemmaFields(reader: ConfigReader, hidden_size: number, caps: { attention: number | null; final: number | null }) {
  return {
    ...attentionBiases(reader),
    norm_offset: 1,
    norm_placement: 'sandwich',
    embedding_scale: Math.sqrt(hidden_size),
    query_pre_attn_scalar: reader.number('query_pre_attn_scalar', 256),
    attn_logit_softcapping: reader.nullableNumber('attn_logit_softcapping', caps.attention),
    final_logit_softcapping: reader.nullableNumber('final_logit_softcapping', caps.final),
  } satisfies Partial<DecoderConfig>;
}

export const gemmaJson = (config: FullDecoderConfig): ConfigJson => ({
  ...commonJson(config, 'hidden_activation'),
  attention_bias: config.attention_bias,
  query_pre_attn_scalar: config.query_pre_attn_scalar,
  attn_logit_softcapping: config.attn_logit_softcapping,
  final_logit_softcapping: config.final_logit_softcapping,
  sliding_window: config.sliding_window,
  layer_types: config.layer_types,
});

/** Gemma 2 (arXiv:2408.00118): every second layer sees a window, scores and logits are capped. */
export const gemma2: Family = {
  model_type: 'gemma2',
  architecture: 'Gemma2ForCausalLM',
  configFrom: (reader) => {
    // both spellings of the activation stand in released configs; transformers reads hidden_activation
    reader.skip('hidden_act');
    const config = commonFields(reader, {
      num_key_value_heads: 4,
      head_dim: 256,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: true,
      activation_key: 'hidden_activation',
      hidden_act: 'gelu_pytorch_tanh',
    });
    const layers = config.num_hidden_layers;
    const types =
      reader.layerTypes(layers) ??
      Array.from({ length: layers }, (_, i) => (i % 2 === 0 ? ('sliding_attention' as const) : ('full_attention' as const)));
    return {
      ...config,
      ...gemmaFields(reader, config.hidden_size, { attention: 50, final: 30 }),
      ...windowFields(config, reader.nullableNumber('sliding_window', 4096), types),
    };
  },
  configTo: gemmaJson,
  layout: () => llamaLayout,
};
