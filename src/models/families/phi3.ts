import { commonFields, commonJson, llamaLayout, uniformWindow } from './common.js';
import type { Family } from './family.js';
import { ropeFields } from './ropeConfig.js';

/** Phi-3 and Phi-4-mini (arXiv:2404.14219, arXiv:2503.01743): Llama with joint projections, windows and longrope. */
export const phi3: Family = {
  model_type: 'phi3',
  architecture: 'Phi3ForCausalLM',
  configFrom: (reader) => {
    const config = commonFields(reader, { rms_norm_eps: 1e-5, tie_word_embeddings: false, rope: (r) => ropeFields(r, { partial: 1 }) });
    const window = reader.nullableNumber('sliding_window', null);
    // of released configs; transformers does not read them
    reader.skip('original_max_position_embeddings', 'interpolate_factor', 'full_attn_mod');
    for (const key of ['attention_bias', 'lm_head_bias', 'mlp_bias'])
      if (reader.boolean(key, false)) throw reader.fail(`"${key}": this family has no such biases`);
    return { ...config, ...uniformWindow(config, window) };
  },
  configTo: (config) => {
    const { original_max_position_embeddings: original = config.max_position_embeddings } = config.position_settings;
    return { ...commonJson(config), sliding_window: config.sliding_window, original_max_position_embeddings: original };
  },
  layout: () => ({
    ...llamaLayout,
    fused: [
      { ours: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'], theirs: 'self_attn.qkv_proj' },
      { ours: ['mlp.gate_proj', 'mlp.up_proj'], theirs: 'mlp.gate_up_proj' },
    ],
  }),
};
