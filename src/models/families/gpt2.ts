import type { Family } from './family.js';

/** GPT-2 (Radford et al. 2019): learned positions, layer norms, biases everywhere, and matrices stored [in, out]. */
export const gpt2: Family = {
  model_type: 'gpt2',
  architecture: 'GPT2LMHeadModel',
  configFrom: (reader) => {
    const [hidden_size, heads] = [reader.count('n_embd', 768), reader.count('n_head', 12)];
    return {
      vocab_size: reader.count('vocab_size', 50257),
      hidden_size,
      num_hidden_layers: reader.layers('n_layer', 12),
      num_attention_heads: heads,
      intermediate_size: reader.count('n_inner', 4 * hidden_size),
      max_position_embeddings: reader.count('n_positions', 1024),
      hidden_act: reader.string('activation_function', 'gelu_new'),
      mlp_gated: false,
      mlp_bias: true,
      norm_type: 'layer',
      rms_norm_eps: reader.number('layer_norm_epsilon', 1e-5),
      attention_bias: true,
      attention_out_bias: true,
      position_method: 'learned',
      query_pre_attn_scalar: reader.boolean('scale_attn_weights', true) ? hidden_size / heads : 1,
      tie_word_embeddings: reader.boolean('tie_word_embeddings', true),
    };
  },
  configTo: (config) => ({
    vocab_size: config.vocab_size,
    n_embd: config.hidden_size,
    n_layer: config.num_hidden_layers,
    n_head: config.num_attention_heads,
    n_inner: config.intermediate_size,
    n_positions: config.max_position_embeddings,
    activation_function: config.hidden_act,
    layer_norm_epsilon: config.rms_norm_eps,
    scale_attn_weights: config.query_pre_attn_scalar !== 1 || config.head_dim === 1,
    tie_word_embeddings: config.tie_word_embeddings,
  }),
  layout: () => ({
    prefix: 'transformer.',
    layers: 'h',
    inOut: true,
    modules: {
      embed_tokens: 'wte',
      'position.wpe': 'wpe',
      norm: 'ln_f',
      input_layernorm: 'ln_1',
      post_attention_layernorm: 'ln_2',
      'self_attn.o_proj': 'attn.c_proj',
      'mlp.up_proj': 'mlp.c_fc',
      'mlp.down_proj': 'mlp.c_proj',
    },
    fused: [{ ours: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'], theirs: 'attn.c_attn' }],
    ignores: [/\.attn\.(bias|masked_bias)$/],
  }),
};
