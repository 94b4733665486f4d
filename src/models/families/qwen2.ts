import { commonFields, commonJson, llamaLayout, qwenWindows, qwenWindowsJson } from './common.js';
import type { Family } from './family.js';

/** Qwen 2 and 2.5 (arXiv:2412.15115): Llama with biases of queries, keys and values. */
export const qwen2: Family = {
  model_type: 'qwen2',
  architecture: 'Qwen2ForCausalLM',
  configFrom: (reader) => {
    const config = commonFields(reader, { num_key_value_heads: 32, rms_norm_eps: 1e-6, tie_word_embeddings: false });
    reader.skip('attention_bias');
    return { ...config, attention_bias: true, ...qwenWindows(reader, config) };
  },
  configTo: (config) => ({ ...commonJson(config), ...qwenWindowsJson(config) }),
  layout: () => llamaLayout,
};
