import { attentionBiases } from './common.js';
import type { Family } from './family.js';
import { ropeFields, ropeJson } from './ropeConfig.js';

/** GPT-NeoX and Pythia (arXiv:2204.06745, arXiv:2304.01373): both halves of a block read its input, a quarter of each head rotates. */
export const gptNeox: Family = {
  model_type: 'gpt_neox',
  architecture: 'GPTNeoXForCausalLM',
  configFrom: (reader) => ({
    vocab_size: reader.count('vocab_size', 50432),
    hidden_size: reader.count('hidden_size'),
    num_hidden_layers: reader.layers(),
    num_attention_heads: reader.count('num_attention_heads'),
    intermediate_size: reader.count('intermediate_size'),
    hidden_act: reader.string('hidden_act', 'gelu'),
    mlp_gated: false,
    mlp_bias: true,
    norm_type: 'layer',
    rms_norm_eps: reader.number('layer_norm_eps', 1e-5),
    parallel_residual: reader.boolean('use_parallel_residual', true),
    ...attentionBiases(reader, true),
    tie_word_embeddings: reader.boolean('tie_word_embeddings', false),
    ...ropeFields(reader, { partial: 0.25, partialKey: 'rotary_pct', thetaKey: 'rotary_emb_base' }),
  }),
  configTo: (config) => {
    const { rope_theta, partial_rotary_factor = 1, ...rope } = ropeJson(config);
    return {
      vocab_size: config.vocab_size,
      hidden_size: config.hidden_size,
      num_hidden_layers: config.num_hidden_layers,
      num_attention_heads: config.num_attention_heads,
      intermediate_size: config.intermediate_size,
      hidden_act: config.hidden_act,
      layer_norm_eps: config.rms_norm_eps,
      use_parallel_residual: config.parallel_residual,
      attention_bias: config.attention_bias,
      tie_word_embeddings: config.tie_word_embeddings,
      rotary_emb_base: rope_theta,
      rotary_pct: partial_rotary_factor,
      ...rope,
    };
  },
  layout: (config) => ({
    prefix: 'gpt_neox.',
    modules: {
      embed_tokens: 'embed_in',
      norm: 'final_layer_norm',
      lm_head: 'embed_out',
      'self_attn.o_proj': 'attention.dense',
      'mlp.up_proj': 'mlp.dense_h_to_4h',
      'mlp.down_proj': 'mlp.dense_4h_to_h',
    },
    fused: [
      {
        ours: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
        theirs: 'attention.query_key_value',
        blocks: config.num_attention_heads,
      },
    ],
    ignores: [/\.attention\.(bias|masked_bias)$/, /rotary_emb\.inv_freq$/],
  }),
};
