import type { ParamSpec } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { silu } from '../../tensor/ops/activation.js';
import { mul } from '../../tensor/ops/elementwise.js';
import { linear, linearSpec, type ParamTree, weightsOf } from '../param.js';
import { readValues, splitHeads } from './core.js';
import type { AttentionContext, AttentionMethod } from './slot.js';
import { softmax } from './softmax.js';

interface Sizes {
  readonly keyHeads: number;
  readonly valueHeads: number;
  /** features of a key head in the cache */
  readonly keySize: number;
  /** inner size of the feed-forward that makes queries; 0 = queries stay as projected */
  readonly augmented: number;
}

/** The largest divisor of `heads` up to `most`. */
const divisorUpTo = (heads: number, most: number): number =>
  Array.from({ length: heads }, (_, i) => heads - i).find((n) => n <= Math.max(1, most) && heads % n === 0) ?? 1;

/** Sizes from the settings, where 0 means Sigma's proportions; the queries get what keys and values free. */
function sizesOf({ config, settings }: AttentionContext): Sizes {
  const { hidden_size: D, num_attention_heads: H, num_key_value_heads: Hk, head_dim: d } = config;
  const valueHeads = Number(settings.num_value_heads) || divisorUpTo(H, Math.min(Hk, H / 2));
  const keyHeads = Number(settings.num_key_heads) || divisorUpTo(H, valueHeads / 4);
  const keySize = Number(settings.key_head_dim) || d;
  for (const [name, n] of Object.entries({ num_value_heads: valueHeads, num_key_heads: keyHeads }))
    if (H % n !== 0) throw new VitroError(`diff-qkv: ${name} ${n} must divide num_attention_heads ${H}`);
  if (config.qk_norm !== 'none')
    throw new VitroError(`diff-qkv: qk_norm "${config.qk_norm}" is not defined for augmented queries; use none`);
  const freed = D * (2 * Hk * d - keyHeads * keySize - valueHeads * d) - (keySize === d ? 0 : keySize * d);
  const ratio = Number(settings.q_augment_ratio);
  const augmented = ratio < 0 ? Math.max(0, Math.round(freed / (3 * H * d))) : Math.round(ratio * D);
  return { keyHeads, valueHeads, keySize, augmented };
}

/**
 * DiffQKV attention with augmented queries (Sigma; Lin et al. 2025, arXiv:2501.13629):
 *   q = W_down (silu(W_gate q') * W_up q'), q' = W_q x;   fewer key heads than value heads, keys perhaps smaller;   o = softmax(scale q . k) v
 * Against softmax: keys are compressed most, values less, and queries, which no cache keeps, get the parameters. Where keys are smaller than
 * queries, the cache keeps the small keys and a linear map makes them of full size before positions turn them.
 */
export const diffQkv: AttentionMethod = {
  ...softmax,
  id: 'diff-qkv',
  summary: 'few key heads, more value heads, and queries from a feed-forward of their own',
  seed: 'S31',
  paper: 'arXiv:2501.13629',
  equation: "q = W_down (silu(W_gate q') * W_up q'), q' = W_q x; n_k < n_v < n_q heads; o = softmax(scale q . k) v",
  parent: 'softmax',
  defaults: { num_key_heads: 0, num_value_heads: 0, key_head_dim: 0, q_augment_ratio: -1 },
  knobs: {
    num_key_heads: '0 = a quarter of the value heads (Sigma: 4 of 32)',
    num_value_heads: '0 = half of the query heads, at most num_key_value_heads (Sigma: 16 of 32)',
    key_head_dim: 'features of a key head in the cache; 0 = head_dim, as in the released models',
    q_augment_ratio: "inner size of the queries' feed-forward over hidden_size (1.5 in Sigma); 0 = none, -1 = what keys and values free",
  },
  limits: [{ settings: { num_key_heads: 2, num_value_heads: 2, q_augment_ratio: 0 }, inputs: '2 key/value heads', tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'the inner size of the queries is chosen so that the parameters equal those of softmax at the same config; the paper adds them on top',
    'the feed-forward that brings small keys to full size is one linear map for all heads, before the rotation: the paper leaves both open',
    'consecutive query heads share a key head and a value head, as in equation 3',
    'fetching only the values of high scores is a policy of inference, not part of this method',
  ],
  demo: { testbed: 'shakespeare', baseline: 'softmax', metric: 'val/bpb', cost: 'tokens', expect: 'equivalent' },
  isPlainSoftmax: false,
  specs: (context) => {
    const { hidden_size: D, num_attention_heads: H, head_dim: d, attention_bias: bias } = context.config;
    const { keyHeads, valueHeads, keySize, augmented } = sizesOf(context);
    return {
      ...softmax.specs(context),
      k_proj: { ...linearSpec(D, keyHeads * keySize, { bias }) },
      v_proj: { ...linearSpec(D, valueHeads * d, { bias }) },
      ...(augmented > 0
        ? {
            q_gate_proj: { ...linearSpec(H * d, augmented) },
            q_up_proj: { ...linearSpec(H * d, augmented) },
            q_down_proj: { ...linearSpec(augmented, H * d) },
          }
        : {}),
      ...(keySize === d ? {} : { k_up_proj: { ...linearSpec(keySize, d) } }),
    } satisfies ParamTree<ParamSpec>;
  },
  project: (weights, x, context) => {
    const { keyHeads, valueHeads, augmented } = sizesOf(context);
    const map = (name: string, input: Tensor): Tensor => linear(weightsOf(weights, name), input);
    const plain = map('q_proj', x);
    const q = augmented > 0 ? map('q_down_proj', mul(silu(map('q_gate_proj', plain)), map('q_up_proj', plain))) : plain;
    return {
      q: splitHeads(q, context.config.num_attention_heads),
      k: splitHeads(map('k_proj', x), keyHeads),
      v: splitHeads(map('v_proj', x), valueHeads),
    };
  },
  makesKeysLate: (context) => sizesOf(context).keySize !== context.config.head_dim,
  attend: (weights, heads, view, context) => {
    if (sizesOf(context).keySize === context.config.head_dim) return readValues(heads, view);
    const k = linear(weightsOf(weights, 'k_up_proj'), heads.k);
    return readValues({ ...heads, k: view.rotateKeys ? view.rotateKeys(k) : k }, view);
  },
  cacheShape: (context) => {
    const { keyHeads, valueHeads, keySize } = sizesOf(context);
    return { keys: [keyHeads, keySize], values: [valueHeads, context.config.head_dim] };
  },
};
