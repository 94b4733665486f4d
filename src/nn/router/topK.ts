import type { Tensor } from '../../tensor/graph.js';
import { softmax } from '../../tensor/ops/activation.js';
import { cast, div, le, mul, stopGradient } from '../../tensor/ops/elementwise.js';
import { topK as largest } from '../../tensor/ops/order.js';
import { sum } from '../../tensor/ops/reduce.js';
import { slice } from '../../tensor/ops/slicing.js';
import type { RouterMethod } from './slot.js';

/** 1 for the k largest of each row [N, E], else 0. Equal values at the border all count. */
function selectLargest(values: Tensor, k: number): Tensor {
  const kept = slice(largest(stopGradient(values), k, { axis: -1 }).values, { [-1]: [k - 1, k] });
  return cast(le(kept, stopGradient(values)), 'f32');
}

/**
 * The k most probable experts of a softmax (Shazeer et al. 2017, arXiv:1701.06538; as in Mixtral and Qwen3-MoE):
 *   p = softmax(logits), w_e = p_e for the k largest, else 0; with norm_topk_prob the w_e of a token add up to 1
 * The root of the slot.
 */
export const topK: RouterMethod = {
  id: 'top-k',
  summary: 'the k most probable experts of a softmax',
  paper: 'arXiv:1701.06538',
  equation: 'p = softmax(x W_r), w_e = p_e if p_e is among the k largest, else 0; optionally w / sum w',
  defaults: { num_experts_per_tok: 2, norm_topk_prob: true },
  limits: [],
  provenance: 'paper',
  assumes: ['experts whose probability equals the k-th largest are all used'],
  route: (logits, settings) => {
    const p = softmax(logits, -1);
    const chosen = mul(p, selectLargest(p, Number(settings.num_experts_per_tok)));
    return settings.norm_topk_prob ? div(chosen, sum(chosen, { axis: -1, keepDims: true })) : chosen;
  },
};
