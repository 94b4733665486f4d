import { evalDim, evalShape } from '../dim.js';
import { OpError } from '../errors.js';
import {
  broadcastRef,
  countOf,
  pick,
  type RefArray,
  refArray,
  refZeros,
  splitAxis,
  stridedOffsets,
  stridesOf,
  wrapIntegers,
} from './refArray.js';
import { checkIndices, type ReferenceRules } from './rule.js';

/** Axes permuted: result axis i is axis perm[i] of x. */
export function transposeRef(x: RefArray, perm: readonly number[]): RefArray {
  const strides = stridesOf(x.shape);
  const shape = perm.map((p) => x.shape[p] as number);
  return pick(
    x,
    shape,
    stridedOffsets(
      shape,
      perm.map((p) => strides[p] as number),
    ),
  );
}

/** Number of steps of a slice from start to limit (exclusive). */
const sliceLength = (start: number, limit: number, step: number): number => Math.max(0, Math.ceil((limit - start) / step));

/** Flat offsets into x of the elements that an index array of x's rank addresses along `axis`. */
function alongOffsets(shape: readonly number[], axis: number, indices: RefArray): Int32Array {
  const strides = stridesOf(shape);
  const stride = strides[axis] as number;
  const offsets = stridedOffsets(
    indices.shape,
    strides.map((s, i) => (i === axis ? 0 : s)),
  );
  for (let i = 0; i < offsets.length; i++) offsets[i] = (offsets[i] as number) + (indices.data[i] as number) * stride;
  return offsets;
}

/** Throws unless x and the index array agree on every axis but `axis`. */
function checkAlong(op: string, where: string | undefined, x: readonly number[], indices: readonly number[], axis: number): void {
  if (x.length !== indices.length || x.some((n, i) => i !== axis && n !== indices[i]))
    throw new OpError(op, `indices [${indices.join(', ')}] must match x [${x.join(', ')}] on every axis but ${axis}`, where);
}

export const movementRules: ReferenceRules<
  'reshape' | 'transpose' | 'broadcastTo' | 'slice' | 'pad' | 'concat' | 'gather' | 'scatterAdd' | 'takeAlong' | 'scatterAlong'
> = {
  reshape: (ctx, node, inputs) => {
    const [x] = inputs as readonly [RefArray];
    const shape = evalShape(node.attrs.shape, ctx.symbols);
    if (countOf(shape) !== x.data.length)
      throw new OpError(node.op, `[${x.shape.join(', ')}] does not reshape to [${shape.join(', ')}]: different element counts`, node.where);
    return [refArray(x.dtype, shape, x.data)];
  },

  transpose: (_ctx, node, inputs) => [transposeRef((inputs as readonly [RefArray])[0], node.attrs.perm)],

  broadcastTo: (ctx, node, inputs) => [broadcastRef((inputs as readonly [RefArray])[0], evalShape(node.attrs.shape, ctx.symbols), node.op)],

  slice: (ctx, node, inputs) => {
    const [x] = inputs as readonly [RefArray];
    const starts = evalShape(node.attrs.starts, ctx.symbols);
    const limits = evalShape(node.attrs.limits, ctx.symbols);
    const { steps } = node.attrs;
    const strides = stridesOf(x.shape);
    const shape = starts.map((s, i) => sliceLength(s, limits[i] as number, steps[i] as number));
    shape.forEach((n, i) => {
      const first = starts[i] as number;
      const last = first + (n - 1) * (steps[i] as number);
      if (n > 0 && (Math.min(first, last) < 0 || Math.max(first, last) >= (x.shape[i] as number)))
        throw new OpError(node.op, `axis ${i}: elements ${first} to ${last} lie outside the size ${x.shape[i]}`, node.where);
    });
    const offset = starts.reduce((total, s, i) => total + s * (strides[i] as number), 0);
    return [
      pick(
        x,
        shape,
        stridedOffsets(
          shape,
          strides.map((s, i) => s * (steps[i] as number)),
          offset,
        ),
      ),
    ];
  },

  pad: (_ctx, node, inputs) => {
    const [x] = inputs as readonly [RefArray];
    const { low, high, value } = node.attrs;
    const shape = x.shape.map((n, i) => n + (low[i] as number) + (high[i] as number));
    const strides = stridesOf(shape);
    const offset = low.reduce((total, n, i) => total + n * (strides[i] as number), 0);
    const target = stridedOffsets(x.shape, strides, offset);
    const data = new Float64Array(countOf(shape)).fill(value);
    for (let i = 0; i < target.length; i++) data[target[i] as number] = x.data[i] as number;
    return [refArray(x.dtype, shape, data)];
  },

  concat: (_ctx, node, inputs) => {
    const { axis } = node.attrs;
    const [first] = inputs as readonly [RefArray];
    const total = inputs.reduce((n, x) => n + (x.shape[axis] as number), 0);
    const out = refZeros(
      first.dtype,
      first.shape.map((n, i) => (i === axis ? total : n)),
    );
    const [outer, , inner] = splitAxis(out.shape, axis);
    let at = 0;
    for (const x of inputs) {
      const run = (x.shape[axis] as number) * inner;
      for (let o = 0; o < outer; o++) out.data.set(x.data.subarray(o * run, (o + 1) * run), o * total * inner + at);
      at += run;
    }
    return [out];
  },

  gather: (_ctx, node, inputs) => {
    const [x, indices] = inputs as readonly [RefArray, RefArray];
    const { axis } = node.attrs;
    const [outer, size, inner] = splitAxis(x.shape, axis);
    checkIndices(node, indices.data, size, axis);
    const m = indices.data.length;
    const out = new Float64Array(outer * m * inner);
    for (let o = 0; o < outer; o++)
      for (let j = 0; j < m; j++) {
        const from = (o * size + (indices.data[j] as number)) * inner;
        out.set(x.data.subarray(from, from + inner), (o * m + j) * inner);
      }
    return [refArray(x.dtype, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], out)];
  },

  scatterAdd: (ctx, node, inputs) => {
    const [indices, updates] = inputs as readonly [RefArray, RefArray];
    const { axis } = node.attrs;
    const size = evalDim(node.attrs.size, ctx.symbols);
    checkIndices(node, indices.data, size, axis);
    const shape = [...updates.shape.slice(0, axis), size, ...updates.shape.slice(axis + indices.shape.length)];
    const [outer, , inner] = splitAxis(shape, axis);
    const m = indices.data.length;
    const out = new Float64Array(countOf(shape));
    for (let o = 0; o < outer; o++)
      for (let j = 0; j < m; j++) {
        const to = (o * size + (indices.data[j] as number)) * inner;
        const from = (o * m + j) * inner;
        for (let i = 0; i < inner; i++) out[to + i] = (out[to + i] as number) + (updates.data[from + i] as number);
      }
    return [refArray(updates.dtype, shape, wrapIntegers(updates.dtype, out))];
  },

  takeAlong: (_ctx, node, inputs) => {
    const [x, indices] = inputs as readonly [RefArray, RefArray];
    const { axis } = node.attrs;
    checkAlong(node.op, node.where, x.shape, indices.shape, axis);
    checkIndices(node, indices.data, x.shape[axis] as number, axis);
    return [pick(x, indices.shape, alongOffsets(x.shape, axis, indices))];
  },

  scatterAlong: (_ctx, node, inputs) => {
    const [x, indices, updates] = inputs as readonly [RefArray, RefArray, RefArray];
    const { axis, mode } = node.attrs;
    checkAlong(node.op, node.where, x.shape, indices.shape, axis);
    checkIndices(node, indices.data, x.shape[axis] as number, axis);
    const offsets = alongOffsets(x.shape, axis, indices);
    const out = x.data.slice();
    for (let i = 0; i < offsets.length; i++) {
      const at = offsets[i] as number;
      const update = updates.data[i] as number;
      out[at] = mode === 'set' ? update : (out[at] as number) + update;
    }
    return [refArray(x.dtype, x.shape, wrapIntegers(x.dtype, out))];
  },
};
