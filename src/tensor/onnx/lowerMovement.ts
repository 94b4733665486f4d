import { type Dim, dimEq, type Shape, sizeOf } from '../dim.js';
import type { DType } from '../dtype.js';
import type { Node } from '../graph.js';
import { type Builder, operand, type Value } from './builder.js';
import type { LoweringRules } from './rule.js';

/** Runs `f` on x, by way of f32 for bf16, which some kernels lack; the way there and back is exact. */
function viaF32(c: Builder, x: Value, dtype: DType, f: (x: Value, dtype: DType) => Value): Value {
  return dtype === 'bf16' ? c.cast(f(c.cast(x, 'f32'), 'f32'), dtype) : f(x, dtype);
}

/** An end before the first element, for a slice that walks to the front: ONNX would read -1 as the last element. */
const PAST_THE_FRONT = Number.MIN_SAFE_INTEGER;

/** The axis of a scatter widened to all elements: indices of shape I become [pre, m, post] beside updates of that shape. */
function spreadIndices(c: Builder, node: Node, axis: number): { indices: Value; updates: Value; flat: Shape } {
  const [indices, updates] = [operand(node, 0), operand(node, 1)];
  const pre = updates.shape.slice(0, axis);
  const post = updates.shape.slice(axis + indices.rank);
  const count = sizeOf(indices.shape);
  const flat = [...pre, count, ...post];
  const column: Dim[] = [...pre.map(() => 1), count, ...post.map(() => 1)];
  return {
    indices: c.expand(c.reshape(c.value(indices), indices.shape, column), column, flat),
    updates: c.reshape(c.value(updates), updates.shape, flat),
    flat,
  };
}

export const movementRules: LoweringRules<
  'reshape' | 'transpose' | 'broadcastTo' | 'slice' | 'pad' | 'concat' | 'gather' | 'scatterAdd' | 'takeAlong' | 'scatterAlong'
> = {
  reshape: (c, node) => c.reshape(c.input(node, 0), operand(node, 0).shape, node.attrs.shape),
  transpose: (c, node) => {
    const { perm } = node.attrs;
    return perm.every((p, i) => p === i) ? c.input(node, 0) : c.op('Transpose', [c.input(node, 0)], { perm });
  },
  broadcastTo: (c, node) => {
    const x = operand(node, 0);
    return viaF32(c, c.value(x), x.dtype, (v) => c.expand(v, x.shape, node.attrs.shape));
  },
  slice: (c, node) => {
    const x = operand(node, 0);
    const { starts, limits, steps } = node.attrs;
    const axes = x.shape.flatMap((d, i) => (starts[i] === 0 && dimEq(limits[i] as Dim, d) && steps[i] === 1 ? [] : [i]));
    if (axes.length === 0) return c.value(x);
    const empty = (i: number): boolean => node.out().shape[i] === 0;
    const from = axes.map((i) => (empty(i) ? 0 : (starts[i] as Dim)));
    const to = axes.map((i) => (empty(i) ? 0 : limits[i] === -1 ? PAST_THE_FRONT : (limits[i] as Dim)));
    const by = axes.map((i) => (empty(i) ? 1 : (steps[i] as number)));
    const inputs = [c.value(x), c.dims(from), c.dims(to), c.ints(axes)];
    return c.op('Slice', by.every((s) => s === 1) ? inputs : [...inputs, c.ints(by)]);
  },
  pad: (c, node) => {
    const x = operand(node, 0);
    const { low, high, value } = node.attrs;
    if ([...low, ...high].every((n) => n === 0)) return c.value(x);
    return viaF32(c, c.value(x), x.dtype, (v, dtype) => c.op('Pad', [v, c.ints([...low, ...high]), c.scalar(value, dtype)]));
  },
  concat: (c, node) => (node.inputs.length === 1 ? c.input(node, 0) : c.op('Concat', c.values(node.inputs), { axis: node.attrs.axis })),
  gather: (c, node) => c.op('Gather', c.values(node.inputs), { axis: node.attrs.axis }),
  scatterAdd: (c, node) => {
    const { axis, size } = node.attrs;
    const { indices, updates, flat } = spreadIndices(c, node, axis);
    const shape = flat.map((d, i) => (i === axis ? size : d));
    const zeros = c.zeros(node.out().dtype, shape);
    // never ScatterND: its add loses updates when indices repeat and threads are many
    return c.op('ScatterElements', [zeros, indices, updates], { axis, reduction: 'add' });
  },
  takeAlong: (c, node) => c.op('GatherElements', c.values(node.inputs), { axis: node.attrs.axis }),
  scatterAlong: (c, node) => {
    const { axis, mode } = node.attrs;
    return c.op('ScatterElements', c.values(node.inputs), mode === 'add' ? { axis, reduction: 'add' } : { axis });
  },
};
