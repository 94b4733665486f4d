import { OpError } from '../errors.js';
import { transposeRef } from './movement.js';
import { broadcastShape, broadcastStrides, countOf, type RefArray, refArray, stridedOffsets } from './refArray.js';
import type { ReferenceRules } from './rule.js';

/** Swaps the last two axes. */
function swapLast(x: RefArray): RefArray {
  const rank = x.shape.length;
  return transposeRef(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
}

/** a [..., M, K] times b [..., K, N], scaled by alpha; leading axes broadcast. */
export function matmulRef(a: RefArray, b: RefArray, alpha = 1): RefArray {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const [kb, n] = b.shape.slice(-2) as [number, number];
  if (k !== kb) throw new OpError('matmul', `inner sizes differ: [${a.shape.join(', ')}] times [${b.shape.join(', ')}]`);
  const [leadA, leadB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const lead = broadcastShape([leadA, leadB], 'matmul');
  const batchesA = stridedOffsets(lead, broadcastStrides(leadA, lead, 'matmul'));
  const batchesB = stridedOffsets(lead, broadcastStrides(leadB, lead, 'matmul'));
  const out = new Float64Array(countOf(lead) * m * n);
  for (let batch = 0; batch < batchesA.length; batch++)
    multiply(a.data, (batchesA[batch] as number) * m * k, b.data, (batchesB[batch] as number) * k * n, out, batch * m * n, m, k, n, alpha);
  return refArray('f32', [...lead, m, n], out);
}

function multiply(
  a: Float64Array,
  atA: number,
  b: Float64Array,
  atB: number,
  out: Float64Array,
  atOut: number,
  m: number,
  k: number,
  n: number,
  alpha: number,
): void {
  for (let i = 0; i < m; i++)
    for (let l = 0; l < k; l++) {
      const x = alpha * (a[atA + i * k + l] as number);
      const row = atB + l * n;
      const to = atOut + i * n;
      for (let j = 0; j < n; j++) out[to + j] = (out[to + j] as number) + x * (b[row + j] as number);
    }
}

export const contractRules: ReferenceRules<'matmul' | 'conv1d' | 'quantMatmul'> = {
  matmul: (_ctx, node, inputs) => {
    const [a, b] = inputs as readonly [RefArray, RefArray];
    const { transA, transB, alpha } = node.attrs;
    return [matmulRef(transA ? swapLast(a) : a, transB ? swapLast(b) : b, alpha)];
  },

  conv1d: (_ctx, node, inputs) => {
    const [x, w] = inputs as readonly [RefArray, RefArray];
    const { groups, padLow, padHigh, dilation } = node.attrs;
    const [batch, channels, time] = x.shape as [number, number, number];
    const [outs, perGroup, kernel] = w.shape as [number, number, number];
    const length = padLow + time + padHigh - dilation * (kernel - 1);
    const out = new Float64Array(batch * outs * length);
    for (let b = 0; b < batch; b++)
      for (let o = 0; o < outs; o++) {
        const group = Math.floor(o / (outs / groups));
        for (let t = 0; t < length; t++) {
          let total = 0;
          for (let c = 0; c < perGroup; c++)
            for (let j = 0; j < kernel; j++) {
              const from = t + j * dilation - padLow;
              if (from < 0 || from >= time) continue;
              const value = x.data[(b * channels + group * perGroup + c) * time + from] as number;
              total += value * (w.data[(o * perGroup + c) * kernel + j] as number);
            }
          out[(b * outs + o) * length + t] = total;
        }
      }
    return [refArray('f32', [batch, outs, length], out)];
  },

  quantMatmul: (_ctx, node, inputs) => {
    const [x, packed, scales, zeroPoints] = inputs as readonly [RefArray, RefArray, RefArray, RefArray?];
    const k = x.shape[x.shape.length - 1] as number;
    const { outFeatures: n } = node.attrs;
    const weight = dequantize(packed, scales, zeroPoints, k, node.attrs);
    const rows = refArray('f32', [x.data.length / k, k], x.data);
    const product = matmulRef(rows, swapLast(refArray('f32', [n, k], weight)));
    return [refArray('f32', [...x.shape.slice(0, -1), n], product.data)];
  },
};

/**
 * Weight [N, K] = (code - zero point) * scale of its block along K. 4-bit codes lie two in a byte, the low half first;
 * zero points are packed alike, each row padded to whole bytes; without them the zero point is 2^(bits-1) (ONNX Runtime's MatMulNBits).
 */
function dequantize(
  packed: RefArray,
  scales: RefArray,
  zeroPoints: RefArray | undefined,
  k: number,
  { bits, blockSize, outFeatures }: { readonly bits: 4 | 8; readonly blockSize: number; readonly outFeatures: number },
): Float64Array {
  const perByte = 8 / bits;
  const code = (data: Float64Array, row: number, rowBytes: number, i: number): number => {
    const byte = data[row * rowBytes + Math.floor(i / perByte)] as number;
    return bits === 8 ? byte : (byte >> (4 * (i % 2))) & 15;
  };
  const blocks = k / blockSize;
  const out = new Float64Array(outFeatures * k);
  for (let row = 0; row < outFeatures; row++)
    for (let i = 0; i < k; i++) {
      const block = Math.floor(i / blockSize);
      const zero = zeroPoints ? code(zeroPoints.data, row, Math.ceil(blocks / perByte), block) : 2 ** (bits - 1);
      out[row * k + i] = (code(packed.data, row, k / perByte, i) - zero) * (scales.data[row * blocks + block] as number);
    }
  return out;
}
