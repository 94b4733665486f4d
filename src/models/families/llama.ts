import { attentionBiases, commonFields, commonJson, llamaLayout } from './common.js';
import type { Family } from './family.js';

/** Llama 1 to 3 (Touvron et al. 2023, arXiv:2302.13971) and what is built like them (SmolLM 1 and 2, TinyLlama). */
export const llama: Family = {
  model_type: 'llama',
  architecture: 'LlamaForCausalLM',
  configFrom: (reader) => ({
    ...commonFields(reader, { rms_norm_eps: 1e-6, tie_word_embeddings: false }),
    ...attentionBiases(reader),
    mlp_bias: reader.boolean('mlp_bias', false),
  }),
  configTo: (config) => ({ ...commonJson(config), attention_bias: config.attention_bias, mlp_bias: config.mlp_bias }),
  layout: () => llamaLayout,
};
