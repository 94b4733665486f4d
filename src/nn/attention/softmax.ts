import type { ParamSpec } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';
import { norm, normSpec } from '../norm.js';
import { linear, linearSpec, type ParamTree, weightsOf } from '../param.js';
import { mergeHeads, readValues, splitHeads } from './core.js';
import type { AttentionConfig, AttentionMethod } from './slot.js';

/** Parameters of the norms of queries and keys, if the checkpoint has them. */
function qkNormSpecs(config: AttentionConfig): ParamTree<ParamSpec> {
  const { qk_norm, norm: kind, head_dim: d, num_attention_heads: H, num_key_value_heads: Hk } = config;
  if (qk_norm === 'none') return {};
  const [q, k] = qk_norm === 'head' ? [d, d] : [H * d, Hk * d];
  return { q_norm: { ...normSpec(kind, q) }, k_norm: { ...normSpec(kind, k) } };
}

/** x W, normalised if the layer norms it, as heads [B, heads, T, d]. */
function projectHeads(weights: ParamTree<Tensor>, x: Tensor, which: 'q' | 'k', heads: number, config: AttentionConfig): Tensor {
  const flat = linear(weightsOf(weights, `${which}_proj`), x);
  if (config.qk_norm === 'none') return splitHeads(flat, heads);
  const gain = weightsOf(weights, `${which}_norm`);
  return config.qk_norm === 'all' ? splitHeads(norm(config.norm, gain, flat), heads) : norm(config.norm, gain, splitHeads(flat, heads));
}

/**
 * Scaled dot-product attention with grouped key and value heads (Vaswani et al. 2017, arXiv:1706.03762; Ainslie et al. 2023, arXiv:2305.13245):
 *   o_t = sum_{s <= t} softmax_s(scale q_t . k_s) v_s,   y = o W_o
 * The root of the slot.
 */
export const softmax: AttentionMethod = {
  id: 'softmax',
  summary: 'scaled dot-product attention with grouped key and value heads',
  paper: 'arXiv:1706.03762',
  equation: 'o_t = sum_{s<=t} softmax_s(scale q_t . k_s) v_s',
  defaults: {},
  limits: [],
  provenance: 'paper',
  assumes: [],
  isPlainSoftmax: true,
  specs: ({ config }) => {
    const { hidden_size: D, num_attention_heads: H, num_key_value_heads: Hk, head_dim: d, attention_bias: bias } = config;
    return {
      q_proj: { ...linearSpec(D, H * d, { bias }) },
      k_proj: { ...linearSpec(D, Hk * d, { bias }) },
      v_proj: { ...linearSpec(D, Hk * d, { bias }) },
      o_proj: { ...linearSpec(H * d, D, { bias: config.attention_out_bias, gain: config.residual_gain }) },
      ...qkNormSpecs(config),
    };
  },
  project: (weights, x, { config }) => ({
    q: projectHeads(weights, x, 'q', config.num_attention_heads, config),
    k: projectHeads(weights, x, 'k', config.num_key_value_heads, config),
    v: splitHeads(linear(weightsOf(weights, 'v_proj'), x), config.num_key_value_heads),
  }),
  attend: (_weights, heads, view) => readValues(heads, view),
  output: (weights, mixed) => linear(weightsOf(weights, 'o_proj'), mergeHeads(mixed)),
  cacheShape: ({ config: { num_key_value_heads: Hk, head_dim: d } }) => ({ keys: [Hk, d], values: [Hk, d] }),
  queryShape: ({ config: { num_attention_heads: H, head_dim: d } }) => [H, d],
  flopsPerToken: ({ config: { num_attention_heads: H, head_dim: d } }, length) => 4 * length * H * d,
};
