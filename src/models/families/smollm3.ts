import { attentionBiases, commonFields, commonJson, everyLayer, llamaLayout, windowFields } from './common.js';
import type { Family } from './family.js';
import { ropeFields } from './ropeConfig.js';

/** SmolLM3 (Hugging Face 2025): Llama where some layers, by default every fourth, have no positions (arXiv:2501.18795). */
export const smollm3: Family = {
  model_type: 'smollm3',
  architecture: 'SmolLM3ForCausalLM',
  configFrom: (reader) => {
    const config = commonFields(reader, {
      num_key_value_heads: 4,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: true,
      rope: (r) => ropeFields(r, { theta: 2_000_000 }),
    });
    const layers = config.num_hidden_layers;
    const interval = reader.count('no_rope_layer_interval', 4);
    const rotates = reader.list('no_rope_layers') ?? Array.from({ length: layers }, (_, i) => Number((i + 1) % interval !== 0));
    if (rotates.length < layers) throw reader.fail(`"no_rope_layers" has ${rotates.length} entries for ${layers} layers`);
    const position_layers = rotates.slice(0, layers).map(Boolean);
    const window = reader.boolean('use_sliding_window', false) ? reader.nullableNumber('sliding_window', null) : null;
    reader.skip('sliding_window', 'max_window_layers');
    const types =
      reader.layerTypes(layers) ??
      everyLayer(layers, 'full_attention' as 'full_attention' | 'sliding_attention').map((type, i) =>
        window !== null && !position_layers[i] ? 'sliding_attention' : type,
      );
    return {
      ...config,
      ...attentionBiases(reader),
      mlp_bias: reader.boolean('mlp_bias', false),
      position_layers,
      ...windowFields(config, window, types),
    };
  },
  configTo: (config) => ({
    ...commonJson(config),
    attention_bias: config.attention_bias,
    mlp_bias: config.mlp_bias,
    no_rope_layers: config.position_layers.map(Number),
    use_sliding_window: config.sliding_window !== null,
    sliding_window: config.sliding_window,
    layer_types: config.layer_types,
  }),
  layout: () => llamaLayout,
};
