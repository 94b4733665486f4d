import { attentionBiases, commonFields, commonJson, llamaLayout, qwenWindows, qwenWindowsJson } from './common.js';
import type { Family } from './family.js';

/** Qwen 3, dense (arXiv:2505.09388): Llama with norms of queries and keys in every head. */
export const qwen3: Family = {
  model_type: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  configFrom: (reader) => {
    const config = commonFields(reader, { num_key_value_heads: 32, head_dim: 128, rms_norm_eps: 1e-6, tie_word_embeddings: false });
    return { ...config, ...attentionBiases(reader), qk_norm: 'head', ...qwenWindows(reader, config) };
  },
  configTo: (config) => ({ ...commonJson(config), attention_bias: config.attention_bias, ...qwenWindowsJson(config) }),
  layout: () => llamaLayout,
};
