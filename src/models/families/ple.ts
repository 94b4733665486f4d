import { commonFields, commonJson } from './common.js';
import type { Family } from './family.js';

/**
 * TinyLM of esp32-tinyLLM (github.com/Bellman281/esp32-tinyLLM): Llama with per-layer embeddings as in Gemma 3n, which sit in slow memory and
 * cost one row a token. Its tensors have names of their own; its config.json is Llama's with hidden_size_per_layer_input.
 */
export const ple: Family = {
  model_type: 'tiny_ple',
  architecture: 'TinyLM',
  configFrom: (reader) => ({
    ...commonFields(reader, { rms_norm_eps: 1e-6, tie_word_embeddings: true }),
    hidden_size_per_layer_input: reader.count('hidden_size_per_layer_input'),
    per_layer_input_act: reader.string('per_layer_input_act', 'gelu'),
  }),
  configTo: (config) => ({
    ...commonJson(config),
    hidden_size_per_layer_input: config.hidden_size_per_layer_input,
    per_layer_input_act: config.per_layer_input_act,
  }),
  layout: () => ({
    prefix: '',
    modules: {
      embed_tokens: 'tok_emb',
      norm: 'out_norm',
      lm_head: 'head',
      embed_tokens_per_layer: 'ple_table',
      per_layer_model_projection: 'ple_model_proj',
      per_layer_projection_norm: 'ple_proj_norm',
      input_layernorm: 'attn_norm',
      post_attention_layernorm: 'ffn_norm',
      'self_attn.o_proj': 'attn_proj',
      'mlp.gate_proj': 'gate',
      'mlp.up_proj': 'up',
      'mlp.down_proj': 'down',
      per_layer_input_gate: 'ple_gate',
      per_layer_projection: 'ple_proj',
      post_per_layer_input_norm: 'ple_norm',
    },
    fused: [{ ours: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'], theirs: 'qkv' }],
  }),
};
