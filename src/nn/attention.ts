import type { Tensor } from '../tensor/graph.js';
import { applyRotary, type RopeTables, scaledDotProductAttention } from '../tensor/ops/attention.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reshape, transpose } from '../tensor/ops/movement.js';
import { at } from '../tensor/ops/slicing.js';

export interface AttentionWeights<T> {
  /** [D, 3D]: the query, key and value projections side by side */
  readonly qkv: T;
  /** [D, D] */
  readonly out: T;
}

/**
 * Causal multi-head self-attention with rotary positions: x [B, T, D] -> [B, T, D]. `rope` holds tables of T positions for the head size D / heads.
 */
export function selfAttention(weights: AttentionWeights<Tensor>, x: Tensor, heads: number, rope: RopeTables): Tensor {
  const [batch, time, width] = x.shape as [Tensor['shape'][number], number, number];
  const headDim = width / heads;
  const split_BT3Hd = reshape(matmul(x, weights.qkv), [batch, time, 3, heads, headDim]);
  const split_3BHTd = transpose(split_BT3Hd, [2, 0, 3, 1, 4]);
  const turned = (i: number): Tensor => applyRotary(at(split_3BHTd, i), rope.cos, rope.sin);
  const mixed_BHTd = scaledDotProductAttention(turned(0), turned(1), at(split_3BHTd, 2), { causal: true });
  return matmul(reshape(transpose(mixed_BHTd, [0, 2, 1, 3]), [batch, time, width]), weights.out);
}
