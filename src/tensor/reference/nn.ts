import { broadcastRef, type RefArray, refArray, splitAxis } from './refArray.js';
import type { ReferenceRules } from './rule.js';
import { erf, sigmoid } from './special.js';

/** Log-softmax along `axis`: (x - max) - log sum exp(x - max). */
export function logSoftmaxRef(x: RefArray, axis: number): RefArray {
  const [outer, n, inner] = splitAxis(x.shape, axis);
  const out = new Float64Array(x.data.length);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const base = o * n * inner + i;
      let top = Number.NEGATIVE_INFINITY;
      for (let j = 0; j < n; j++) top = Math.max(top, x.data[base + j * inner] as number);
      let total = 0;
      for (let j = 0; j < n; j++) total += Math.exp((x.data[base + j * inner] as number) - top);
      const normaliser = Math.log(total);
      for (let j = 0; j < n; j++) out[base + j * inner] = (x.data[base + j * inner] as number) - top - normaliser;
    }
  return refArray(x.dtype, x.shape, out);
}

/** Applies f to every value. */
function each(x: RefArray, f: (value: number) => number): RefArray {
  const out = new Float64Array(x.data.length);
  for (let i = 0; i < out.length; i++) out[i] = f(x.data[i] as number);
  return refArray(x.dtype, x.shape, out);
}

/** Mean over the last axis of f(value), per row. */
function rowMeans(x: RefArray, f: (value: number, row: number) => number): Float64Array {
  const d = x.shape[x.shape.length - 1] as number;
  const out = new Float64Array(d === 0 ? 0 : x.data.length / d);
  for (let row = 0; row < out.length; row++) {
    let total = 0;
    for (let i = 0; i < d; i++) total += f(x.data[row * d + i] as number, row);
    out[row] = total / d;
  }
  return out;
}

const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const geluErf = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));

export const nnRules: ReferenceRules<'softmax' | 'logSoftmax' | 'rmsNorm' | 'layerNorm' | 'silu' | 'gelu' | 'rotary'> = {
  softmax: (_ctx, node, inputs) => [each(logSoftmaxRef((inputs as readonly [RefArray])[0], node.attrs.axis), Math.exp)],
  logSoftmax: (_ctx, node, inputs) => [logSoftmaxRef((inputs as readonly [RefArray])[0], node.attrs.axis)],

  rmsNorm: (_ctx, node, inputs) => {
    const [x, weight] = inputs as readonly [RefArray, RefArray];
    const d = weight.data.length;
    const inv = rowMeans(x, (v) => v * v).map((mean) => 1 / Math.sqrt(mean + node.attrs.eps));
    const y = x.data.map((v, i) => v * (inv[Math.floor(i / d)] as number) * (weight.data[i % d] as number));
    return [refArray(x.dtype, x.shape, y), refArray('f32', [...x.shape.slice(0, -1), 1], inv)];
  },

  layerNorm: (_ctx, node, inputs) => {
    const [x, weight, bias] = inputs as readonly [RefArray, RefArray, RefArray];
    const d = weight.data.length;
    const mean = rowMeans(x, (v) => v);
    const variance = rowMeans(x, (v, row) => (v - (mean[row] as number)) ** 2);
    const inv = variance.map((v) => 1 / Math.sqrt(v + node.attrs.eps));
    const y = x.data.map((v, i) => {
      const row = Math.floor(i / d);
      return (v - (mean[row] as number)) * (inv[row] as number) * (weight.data[i % d] as number) + (bias.data[i % d] as number);
    });
    const statistic = [...x.shape.slice(0, -1), 1];
    return [refArray(x.dtype, x.shape, y), refArray('f32', statistic, mean), refArray('f32', statistic, inv)];
  },

  silu: (_ctx, _node, inputs) => [each((inputs as readonly [RefArray])[0], (x) => x * sigmoid(x))],
  gelu: (_ctx, node, inputs) => [each((inputs as readonly [RefArray])[0], node.attrs.approximate === 'tanh' ? geluTanh : geluErf)],

  rotary: (_ctx, node, inputs) => {
    const [x, cos, sin] = inputs as readonly [RefArray, RefArray, RefArray];
    const d = x.shape[x.shape.length - 1] as number;
    const half = d / 2;
    const angles = [...x.shape.slice(0, -1), half];
    const c = broadcastRef(cos, angles, node.op).data;
    const s = broadcastRef(sin, angles, node.op).data;
    const out = new Float64Array(x.data.length);
    for (let i = 0; i < c.length; i++) {
      const row = Math.floor(i / half) * d;
      const pair = i % half;
      const first = row + (node.attrs.interleaved ? 2 * pair : pair);
      const second = node.attrs.interleaved ? first + 1 : first + half;
      const [a, b, cosine, sine] = [x.data[first], x.data[second], c[i], s[i]] as [number, number, number, number];
      out[first] = a * cosine - b * sine;
      out[second] = b * cosine + a * sine;
    }
    return [refArray(x.dtype, x.shape, out)];
  },
};
