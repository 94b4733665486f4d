import type { Settings } from '../../contracts/index.js';
import { commonFields, llamaLayout, windowFields } from './common.js';
import type { ConfigJson, ConfigReader } from './configReader.js';
import type { Family } from './family.js';
import { gemmaFields, gemmaJson } from './gemma2.js';
import { type RopeFields, ropeGroup, ropeSettings } from './ropeConfig.js';

/** Rotation of layers with full and with sliding attention, which Gemma 3 tells apart: nested groups (transformers 5) or two bases (4). */
function rotations(reader: ConfigReader): RopeFields {
  const given = ropeGroup(reader);
  const group = (key: string): ConfigJson | undefined => reader.record(key, given);
  const nested = group('full_attention') !== undefined || group('sliding_attention') !== undefined;
  const [full, local] = nested ? [group('full_attention') ?? {}, group('sliding_attention') ?? {}] : [given, {}];
  const context = reader.count('max_position_embeddings');
  const settings = (own: ConfigJson): Settings => {
    const found = ropeSettings(reader, own, context);
    if (found.rope_type === 'dynamic') throw reader.fail('rope of type "dynamic" is not known of this family');
    return found;
  };
  const theta = Number(full.rope_theta ?? reader.number('rope_theta', 1_000_000));
  const localTheta = Number(local.rope_theta ?? reader.number('rope_local_base_freq', 10_000));
  return {
    max_position_embeddings: context,
    rope_theta: theta,
    position_settings: settings(full),
    local_position_settings: { rope_type: 'default', ...settings(local), rope_theta: localTheta },
  };
}

/** Gemma 3, text only (arXiv:2503.19786): norms of queries and keys, five of six layers see a window and rotate at a base of their own. */
export const gemma3Text: Family = {
  model_type: 'gemma3_text',
  architecture: 'Gemma3ForCausalLM',
  configFrom: (reader) => {
    reader.skip('hidden_act');
    const config = commonFields(reader, {
      num_key_value_heads: 4,
      head_dim: 256,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: true,
      activation_key: 'hidden_activation',
      hidden_act: 'gelu_pytorch_tanh',
      rope: rotations,
    });
    const layers = config.num_hidden_layers;
    const pattern = reader.count('sliding_window_pattern', reader.count('_sliding_window_pattern', 6));
    const types =
      reader.layerTypes(layers) ??
      Array.from({ length: layers }, (_, i) => ((i + 1) % pattern === 0 ? ('full_attention' as const) : ('sliding_attention' as const)));
    return {
      ...config,
      ...gemmaFields(reader, config.hidden_size, { attention: null, final: null }),
      qk_norm: 'head',
      ...windowFields(config, reader.nullableNumber('sliding_window', 4096), types),
    };
  },
  configTo: (config) => ({
    ...gemmaJson(config),
    rope_local_base_freq: config.local_position_settings.rope_theta ?? config.rope_theta,
  }),
  layout: () => llamaLayout,
};
