import { OpError } from '../errors.js';
import type { AttentionAttrs } from '../prims.js';
import { transposeRef } from './movement.js';
import { sumToShape } from './reduce.js';
import { broadcastRef, type RefArray, refArray, refZeros } from './refArray.js';
import type { ReferenceRules } from './rule.js';

interface Probabilities {
  /** softmax of the scores, [B, H, Tq, Tk]; all zero for a query that sees no key */
  readonly p: Float64Array;
  /** derivative of the score by scale * q.k: 1, or 1 - tanh^2 with a softcap */
  readonly slope: Float64Array;
}

type Sizes = readonly [batch: number, heads: number, kvHeads: number, tq: number, tk: number, d: number, dv: number];

const sizesOf = (q: RefArray, k: RefArray, v: RefArray): Sizes => {
  const [batch, heads, tq, d] = q.shape as [number, number, number, number];
  const [, kvHeads, tk] = k.shape as [number, number, number];
  return [batch, heads, kvHeads, tq, tk, d, v.shape[3] as number];
};

/** Whether query i sees key j. */
function visible(i: number, j: number, tq: number, tk: number, { causal, window }: AttentionAttrs): boolean {
  const last = i + tk - tq;
  return !causal || (j <= last && (window === 0 || j > last - window));
}

function probabilities(q: RefArray, k: RefArray, v: RefArray, bias: RefArray | undefined, attrs: AttentionAttrs): Probabilities {
  const [batch, heads, kvHeads, tq, tk, d] = sizesOf(q, k, v);
  const { scale, softcap } = attrs;
  const p = new Float64Array(batch * heads * tq * tk);
  const slope = new Float64Array(p.length).fill(1);
  const added = bias && broadcastRef(bias, [batch, heads, tq, tk], 'attention').data;
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < tq; i++) {
        const row = ((b * heads + h) * tq + i) * tk;
        const atQ = ((b * heads + h) * tq + i) * d;
        let top = Number.NEGATIVE_INFINITY;
        for (let j = 0; j < tk; j++) {
          const atK = ((b * kvHeads + Math.floor(h / (heads / kvHeads))) * tk + j) * d;
          let score = 0;
          for (let c = 0; c < d; c++) score += (q.data[atQ + c] as number) * (k.data[atK + c] as number);
          score *= scale;
          if (softcap > 0) {
            const t = Math.tanh(score / softcap);
            score = softcap * t;
            slope[row + j] = 1 - t * t;
          }
          if (added) score += added[row + j] as number;
          p[row + j] = visible(i, j, tq, tk, attrs) ? score : Number.NEGATIVE_INFINITY;
          top = Math.max(top, p[row + j] as number);
        }
        let total = 0;
        for (let j = 0; j < tk; j++) {
          const e = top === Number.NEGATIVE_INFINITY ? 0 : Math.exp((p[row + j] as number) - top);
          p[row + j] = e;
          total += e;
        }
        if (total !== 0) for (let j = 0; j < tk; j++) p[row + j] = (p[row + j] as number) / total;
      }
  return { p, slope };
}

function attentionRef(q: RefArray, k: RefArray, v: RefArray, bias: RefArray | undefined, attrs: AttentionAttrs): RefArray {
  const [batch, heads, kvHeads, tq, tk, , dv] = sizesOf(q, k, v);
  const { p } = probabilities(q, k, v, bias, attrs);
  const out = refZeros('f32', [batch, heads, tq, dv]);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < tq; i++)
        for (let j = 0; j < tk; j++) {
          const row = (b * heads + h) * tq + i;
          const weight = p[row * tk + j] as number;
          if (weight === 0) continue;
          const atV = ((b * kvHeads + Math.floor(h / (heads / kvHeads))) * tk + j) * dv;
          for (let c = 0; c < dv; c++) out.data[row * dv + c] = (out.data[row * dv + c] as number) + weight * (v.data[atV + c] as number);
        }
  return out;
}

/** dV = P^T dO; dP = dO V^T; dS = P (dP - rowsum(P dP)); dbias = dS; dq = scale dS' K and dk = scale dS'^T q, dS' = dS * slope. */
function attentionGradRef(
  q: RefArray,
  k: RefArray,
  v: RefArray,
  g: RefArray,
  bias: RefArray | undefined,
  attrs: AttentionAttrs,
): RefArray[] {
  const [batch, heads, kvHeads, tq, tk, d, dv] = sizesOf(q, k, v);
  const { p, slope } = probabilities(q, k, v, bias, attrs);
  const [dq, dk, dV] = [refZeros('f32', q.shape), refZeros('f32', k.shape), refZeros('f32', v.shape)];
  const ds = refZeros('f32', [batch, heads, tq, tk]);
  const dp = new Float64Array(tk);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < tq; i++) {
        const row = (b * heads + h) * tq + i;
        const kvRow = (b * kvHeads + Math.floor(h / (heads / kvHeads))) * tk;
        let dot = 0;
        for (let j = 0; j < tk; j++) {
          const weight = p[row * tk + j] as number;
          let value = 0;
          for (let c = 0; c < dv; c++) {
            const go = g.data[row * dv + c] as number;
            const at = (kvRow + j) * dv + c;
            value += go * (v.data[at] as number);
            dV.data[at] = (dV.data[at] as number) + weight * go;
          }
          dp[j] = value;
          if (weight !== 0) dot += weight * value;
        }
        for (let j = 0; j < tk; j++) {
          const weight = p[row * tk + j] as number;
          if (weight === 0) continue;
          const s = weight * ((dp[j] as number) - dot);
          ds.data[row * tk + j] = s;
          const step = attrs.scale * s * (slope[row * tk + j] as number);
          for (let c = 0; c < d; c++) {
            const [atQ, atK] = [row * d + c, (kvRow + j) * d + c];
            dq.data[atQ] = (dq.data[atQ] as number) + step * (k.data[atK] as number);
            dk.data[atK] = (dk.data[atK] as number) + step * (q.data[atQ] as number);
          }
        }
      }
  return [dq, dk, dV, ...(bias ? [sumToShape(ds, bias.shape)] : [])];
}

/** [B, S, H*d] -> [B, H, S, d] */
function splitHeads(x: RefArray, heads: number): RefArray {
  const [batch, steps, width] = x.shape as [number, number, number];
  return transposeRef(refArray(x.dtype, [batch, steps, heads, width / heads], x.data), [0, 2, 1, 3]);
}

/** A copy of cache [B, H, C, d] with rows [B, H, S, d] written from position lengths[b] on. */
function writeRows(cache: RefArray, rows: RefArray, lengths: RefArray): RefArray {
  const [batch, heads, capacity, d] = cache.shape as [number, number, number, number];
  const steps = rows.shape[2] as number;
  const out = cache.data.slice();
  for (let b = 0; b < batch; b++) {
    const length = lengths.data[b] as number;
    if (length < 0 || length + steps > capacity)
      throw new OpError('cachedAttention', `length ${length} (row ${b}) plus ${steps} new tokens exceeds the cache of ${capacity}`);
    for (let h = 0; h < heads; h++) {
      const from = (b * heads + h) * steps * d;
      out.set(rows.data.subarray(from, from + steps * d), ((b * heads + h) * capacity + length) * d);
    }
  }
  return refArray(cache.dtype, cache.shape, out);
}

/** x [B, H, S, d]: row s of batch b turned by the angles of position length[b] + s. */
function rotateRows(x: RefArray, cos: RefArray, sin: RefArray, lengths: RefArray): RefArray {
  const [batch, heads, steps, d] = x.shape as [number, number, number, number];
  const half = d / 2;
  const out = new Float64Array(x.data.length);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let s = 0; s < steps; s++) {
        const position = (lengths.data[b] as number) + s;
        if (position >= (cos.shape[0] as number))
          throw new OpError('cachedAttention', `position ${position} lies outside the rotary tables of ${cos.shape[0]} rows`);
        const row = ((b * heads + h) * steps + s) * d;
        for (let i = 0; i < half; i++) {
          const [c, n] = [cos.data[position * half + i] as number, sin.data[position * half + i] as number];
          const [p, q] = [x.data[row + i] as number, x.data[row + half + i] as number];
          out[row + i] = p * c - q * n;
          out[row + half + i] = q * c + p * n;
        }
      }
  return refArray(x.dtype, x.shape, out);
}

export const attentionRules: ReferenceRules<'attention' | 'attentionGrad' | 'cachedAttention'> = {
  attention: (_ctx, node, inputs) => {
    const [q, k, v, bias] = inputs as readonly [RefArray, RefArray, RefArray, RefArray?];
    return [attentionRef(q, k, v, bias, node.attrs)];
  },

  attentionGrad: (_ctx, node, inputs) => {
    const [q, k, v, , g, bias] = inputs as readonly [RefArray, RefArray, RefArray, RefArray, RefArray, RefArray?];
    return attentionGradRef(q, k, v, g, bias, node.attrs);
  },

  // the new token s of row b stands at position length[b] + s and sees every position up to its own
  cachedAttention: (_ctx, node, inputs) => {
    const [q, k, v, pastK, pastV, lengths, cos, sin] = inputs as readonly [
      RefArray,
      RefArray,
      RefArray,
      RefArray,
      RefArray,
      RefArray,
      RefArray?,
      RefArray?,
    ];
    const turn = (x: RefArray): RefArray => (cos && sin ? rotateRows(x, cos, sin, lengths) : x);
    const { heads, kvHeads, scale } = node.attrs;
    const [batch, steps, width] = q.shape as [number, number, number];
    const capacity = pastK.shape[2] as number;
    const keys = writeRows(pastK, turn(splitHeads(k, kvHeads)), lengths);
    const values = writeRows(pastV, splitHeads(v, kvHeads), lengths);
    const mask = refZeros('f32', [batch, 1, steps, capacity]);
    for (let b = 0; b < batch; b++)
      for (let s = 0; s < steps; s++)
        for (let j = 0; j < capacity; j++)
          if (j > (lengths.data[b] as number) + s) mask.data[(b * steps + s) * capacity + j] = Number.NEGATIVE_INFINITY;
    const out = attentionRef(turn(splitHeads(q, heads)), keys, values, mask, { scale, causal: false, window: 0, softcap: 0 });
    return [refArray('f32', [batch, steps, width], transposeRef(out, [0, 2, 1, 3]).data), keys, values];
  },
};
