import { attentionBiases, commonFields, commonJson, llamaLayout } from './common.js';
import type { Family } from './family.js';

/** OLMo 2 (arXiv:2501.00656): norms after each half of a block, and over all queries and all keys of a layer. */
export const olmo2: Family = {
  model_type: 'olmo2',
  architecture: 'Olmo2ForCausalLM',
  configFrom: (reader) => ({
    ...commonFields(reader, { rms_norm_eps: 1e-5, tie_word_embeddings: false }),
    ...attentionBiases(reader),
    qk_norm: 'all',
    norm_placement: 'post',
  }),
  configTo: (config) => ({ ...commonJson(config), attention_bias: config.attention_bias }),
  layout: () => llamaLayout,
};
