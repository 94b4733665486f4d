import { attentionBiases, commonFields, commonJson, llamaLayout, uniformWindow } from './common.js';
import type { Family } from './family.js';

/**
 * Qwen 3 with mixtures of experts (arXiv:2505.09388). Expert weights stand in the checkpoint one by one (as transformers writes them) or as
 * joint tensors [E, 2F, D] and [E, D, F] (as transformers 5 holds them).
 */
export const qwen3Moe: Family = {
  model_type: 'qwen3_moe',
  architecture: 'Qwen3MoeForCausalLM',
  configFrom: (reader) => {
    const config = commonFields(reader, { num_key_value_heads: 4, rms_norm_eps: 1e-6, tie_word_embeddings: false });
    const [old, current] = [reader.optionalNumber('num_experts'), reader.optionalNumber('num_local_experts')];
    if (old !== undefined && current !== undefined && old !== current)
      throw reader.fail(`"num_experts" is ${old}, but "num_local_experts" is ${current}`);
    const num_experts = old ?? current ?? 128;
    if (!(Number.isInteger(num_experts) && num_experts >= 0 && num_experts <= 65_536))
      throw reader.fail(`"num_experts" must be a whole number up to 65536, got ${num_experts}`);
    const dense = reader.list('mlp_only_layers') ?? [];
    const step = reader.count('decoder_sparse_step', 1);
    const given = reader.nullableNumber('sliding_window', 4096);
    const window = reader.boolean('use_sliding_window', false) ? given : null;
    reader.skip('max_window_layers');
    const used = reader.count('num_experts_per_tok', 8);
    if (used > num_experts) throw reader.fail(`"num_experts_per_tok" is ${used}, but there are ${num_experts} experts`);
    return {
      ...config,
      ...attentionBiases(reader),
      qk_norm: 'head',
      ...uniformWindow(config, window),
      num_experts,
      moe_intermediate_size: reader.count('moe_intermediate_size', 768),
      moe_layers: Array.from({ length: config.num_hidden_layers }, (_, i) => num_experts > 0 && !dense.includes(i) && (i + 1) % step === 0),
      router_settings: { num_experts_per_tok: used, norm_topk_prob: reader.boolean('norm_topk_prob', false) },
    };
  },
  configTo: (config) => ({
    ...commonJson(config),
    attention_bias: config.attention_bias,
    use_sliding_window: config.sliding_window !== null,
    sliding_window: config.sliding_window,
    num_experts: config.num_experts,
    moe_intermediate_size: config.moe_intermediate_size,
    num_experts_per_tok: config.router_settings.num_experts_per_tok ?? 2,
    norm_topk_prob: config.router_settings.norm_topk_prob ?? true,
    decoder_sparse_step: 1,
    mlp_only_layers: config.moe_layers.flatMap((isMixture, i) => (isMixture ? [] : [i])),
  }),
  layout: (config, has) => {
    const first = config.moe_layers.indexOf(true);
    const joint = first >= 0 && has(`layers.${first}.mlp.experts.gate_up_proj`);
    return { ...llamaLayout, experts: joint ? 'joint' : 'each' };
  },
};
