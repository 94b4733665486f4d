import type { Tensor } from '../../tensor/graph.js';
import { softmax, tanh } from '../../tensor/ops/activation.js';
import { scaledDotProductAttention } from '../../tensor/ops/attention.js';
import { add, div, mul } from '../../tensor/ops/elementwise.js';
import { causalMask, maskToBias } from '../../tensor/ops/mask.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { repeat, reshape, transpose } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { isWatched, site } from '../../tensor/site.js';
import type { AttentionView, Heads } from './slot.js';

/** [B, T, H*d] -> [B, H, T, d] */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch, time, width] = x.shape as [Tensor['shape'][number], Tensor['shape'][number], number];
  return transpose(reshape(x, [batch, time, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, H, T, d] -> [B, T, H*d] */
export function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, time, d] = x.shape as [Tensor['shape'][number], number, Tensor['shape'][number], number];
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, time, heads * d]);
}

/** Repeats key or value heads so that there is one for each of `heads` query heads; consecutive query heads share one. */
export function shareHeads(x: Tensor, heads: number): Tensor {
  const own = dimOf(x, 1) as number;
  return own === heads ? x : repeat(x, heads / own, 1);
}

/**
 * softmax(scale q k^T + bias) v with the view's mask: q [B, H, Tq, d], k [B, Hk, Tk, d], v [B, Hv, Tk, dv] -> [B, H, Tq, dv]. Where somebody
 * watches the sites `scores` or `weights`, both are computed openly; else the engine's fused attention runs.
 */
export function readValues({ q, k, v }: Heads, view: AttentionView): Tensor {
  const heads = dimOf(q, 1) as number;
  const { causal, window, mask, bias, scale, softcap, name } = view;
  const watched = [isWatched(`${name}.scores`), isWatched(`${name}.weights`)].some(Boolean);
  if (!watched) {
    const grouped = dimOf(k, 1) === dimOf(v, 1) ? v : shareHeads(v, heads);
    const keys = dimOf(k, 1) === dimOf(grouped, 1) ? k : shareHeads(k, heads);
    return scaledDotProductAttention(q, keys, grouped, {
      causal,
      window,
      scale,
      softcap,
      ...(mask ? { mask } : {}),
      ...(bias ? { bias } : {}),
    });
  }
  const raw = mul(matmul(q, transpose(shareHeads(k, heads), [0, 1, 3, 2])), scale);
  const capped = softcap > 0 ? mul(tanh(div(raw, softcap)), softcap) : raw;
  const penalties = [
    ...(bias ? [bias] : []),
    ...(mask ? [maskToBias(mask)] : []),
    ...(causal ? [maskToBias(causalMask(dimOf(q, 2), dimOf(k, 2), { window }))] : []),
  ];
  const scores = site(
    `${name}.scores`,
    penalties.reduce((a, b) => add(a, b), capped),
  );
  const weights = site(`${name}.weights`, softmax(scores, -1));
  return matmul(weights, shareHeads(v, heads));
}
