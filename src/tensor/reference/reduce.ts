import { isInteger } from '../dtype.js';
import { OpError } from '../errors.js';
import type { Node } from '../graph.js';
import type { AxesAttrs } from '../prims.js';
import { mulInteger } from './elementwise.js';
import { countOf, type RefArray, refArray, splitAxis, stridedOffsets, stridesOf, wrapIntegers } from './refArray.js';
import type { ReferenceRules } from './rule.js';

/** For every element of x the flat index of the result that it goes to, with the result's shape. */
function reduction(shape: readonly number[], { axes, keepDims }: AxesAttrs): { target: Int32Array; kept: number[]; out: number[] } {
  const kept = shape.map((n, i) => (axes.includes(i) ? 1 : n));
  const strides = stridesOf(kept).map((s, i) => (axes.includes(i) ? 0 : s));
  return { target: stridedOffsets(shape, strides), kept, out: keepDims ? kept : shape.filter((_, i) => !axes.includes(i)) };
}

/** Sum over `axes`; integers wrap. */
export function sumOver(x: RefArray, attrs: AxesAttrs): RefArray {
  const { target, out } = reduction(x.shape, attrs);
  const data = new Float64Array(countOf(out));
  for (let i = 0; i < target.length; i++) {
    const t = target[i] as number;
    data[t] = (data[t] as number) + (x.data[i] as number);
  }
  return refArray(x.dtype, out, wrapIntegers(x.dtype, data));
}

/** Sums x over the axes along which `shape` was broadcast: the adjoint of broadcasting. */
export function sumToShape(x: RefArray, shape: readonly number[]): RefArray {
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((n, i) => (i < lead || (shape[i - lead] === 1 && n !== 1) ? [i] : []));
  return refArray(x.dtype, shape, sumOver(x, { axes, keepDims: false }).data);
}

const extremum = (start: number, better: (a: number, b: number) => number) => (_ctx: unknown, node: Node, inputs: readonly RefArray[]) => {
  const [x] = inputs as readonly [RefArray];
  const { target, out } = reduction(x.shape, node.attrs as AxesAttrs);
  const data = new Float64Array(countOf(out)).fill(start);
  if (data.length > 0 && target.length === 0)
    throw new OpError(node.op, `shape [${x.shape.join(', ')}] has no elements to reduce`, node.where);
  for (let i = 0; i < target.length; i++) {
    const t = target[i] as number;
    data[t] = better(data[t] as number, x.data[i] as number);
  }
  return [refArray(x.dtype, out, data)];
};

export const reduceRules: ReferenceRules<'sum' | 'reduceMax' | 'reduceMin' | 'reduceProd' | 'argmax' | 'cumsum' | 'topK'> = {
  sum: (_ctx, node, inputs) => [sumOver((inputs as readonly [RefArray])[0], node.attrs)],
  reduceMax: extremum(Number.NEGATIVE_INFINITY, Math.max),
  reduceMin: extremum(Number.POSITIVE_INFINITY, Math.min),

  reduceProd: (_ctx, node, inputs) => {
    const [x] = inputs as readonly [RefArray];
    const { target, out } = reduction(x.shape, node.attrs);
    const data = new Float64Array(countOf(out)).fill(1);
    const integer = isInteger(x.dtype);
    for (let i = 0; i < target.length; i++) {
      const t = target[i] as number;
      const a = data[t] as number;
      const b = x.data[i] as number;
      data[t] = integer ? mulInteger(a, b, x.dtype) : a * b;
    }
    return [refArray(x.dtype, out, wrapIntegers(x.dtype, data))];
  },

  argmax: (_ctx, node, inputs) => {
    const [x] = inputs as readonly [RefArray];
    const { axis, keepDims } = node.attrs;
    const [outer, n, inner] = splitAxis(x.shape, axis);
    if (n === 0 && outer * inner > 0) throw new OpError(node.op, `axis ${axis} of shape [${x.shape.join(', ')}] is empty`, node.where);
    const data = new Float64Array(outer * inner);
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const base = o * n * inner + i;
        let best = 0;
        for (let j = 1; j < n; j++) if ((x.data[base + j * inner] as number) > (x.data[base + best * inner] as number)) best = j;
        data[o * inner + i] = best;
      }
    const shape = keepDims ? x.shape.map((d, i) => (i === axis ? 1 : d)) : x.shape.filter((_, i) => i !== axis);
    return [refArray('i32', shape, data)];
  },

  cumsum: (_ctx, node, inputs) => {
    const [x] = inputs as readonly [RefArray];
    const { axis, exclusive, reverse } = node.attrs;
    const [outer, n, inner] = splitAxis(x.shape, axis);
    const data = new Float64Array(x.data.length);
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        let total = 0;
        for (let j = 0; j < n; j++) {
          const at = (o * n + (reverse ? n - 1 - j : j)) * inner + i;
          const next = total + (x.data[at] as number);
          data[at] = exclusive ? total : next;
          total = next;
        }
      }
    return [refArray(x.dtype, x.shape, wrapIntegers(x.dtype, data))];
  },

  topK: (_ctx, node, inputs) => {
    const [x] = inputs as readonly [RefArray];
    const { axis, k, largest } = node.attrs;
    const [outer, n, inner] = splitAxis(x.shape, axis);
    if (k > n) throw new OpError(node.op, `k ${k} exceeds the size ${n} of axis ${axis}`, node.where);
    const shape = x.shape.map((d, i) => (i === axis ? k : d));
    const values = new Float64Array(outer * k * inner);
    const indices = new Float64Array(outer * k * inner);
    const sign = largest ? -1 : 1;
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const value = (j: number): number => x.data[(o * n + j) * inner + i] as number;
        const order = Array.from({ length: n }, (_, j) => j).sort((a, b) => (value(a) === value(b) ? a - b : sign * (value(a) - value(b))));
        for (let j = 0; j < k; j++) {
          const at = (o * k + j) * inner + i;
          indices[at] = order[j] as number;
          values[at] = value(order[j] as number);
        }
      }
    return [refArray(x.dtype, shape, values), refArray('i32', shape, indices)];
  },
};
