import type { Tensor } from '../../tensor/graph.js';
import { softmax } from '../../tensor/ops/activation.js';
import { add, and, mul } from '../../tensor/ops/elementwise.js';
import { causalMask, maskToBias, segmentMask } from '../../tensor/ops/mask.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { repeat, swapAxes, unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';

/** Causal attention [B, H, T, T] of queries [B, H, T, d] and keys [B, Hk, T, d], scaled by 1 / sqrt(d), within segments [B, T] if there are any. */
export function attentionOf(q: Tensor, k: Tensor, segments?: Tensor): Tensor {
  const [H, T, d] = [dimOf(q, 1) as number, dimOf(q, 2) as number, dimOf(q, 3) as number];
  const groups = H / (dimOf(k, 1) as number);
  const keys = groups === 1 ? k : repeat(k, groups, 1);
  const scores = mul(matmul(q, swapAxes(keys, 2, 3)), 1 / Math.sqrt(d));
  const causal = causalMask(T);
  const mask = segments ? and(unsqueeze(segmentMask(segments), 1), causal) : causal;
  return softmax(add(scores, maskToBias(mask)));
}
