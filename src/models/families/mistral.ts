import { commonFields, commonJson, llamaLayout, uniformWindow } from './common.js';
import type { Family } from './family.js';

/** Mistral (Jiang et al. 2023, arXiv:2310.06825): Llama with windows in all layers. */
export const mistral: Family = {
  model_type: 'mistral',
  architecture: 'MistralForCausalLM',
  configFrom: (reader) => {
    const config = commonFields(reader, { num_key_value_heads: 8, rms_norm_eps: 1e-6, tie_word_embeddings: false });
    return { ...config, ...uniformWindow(config, reader.nullableNumber('sliding_window', 4096)) };
  },
  configTo: (config) => ({ ...commonJson(config), sliding_window: config.sliding_window }),
  layout: () => llamaLayout,
};
