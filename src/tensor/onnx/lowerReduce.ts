import { isOp, type Node, type Tensor } from '../graph.js';
import type { AxesAttrs } from '../prims.js';
import { type Builder, operand, type Value } from './builder.js';
import type { LoweringRules } from './rule.js';

const reduce =
  (op: string) =>
  (c: Builder, node: Node): Value => {
    const { axes, keepDims } = node.attrs as AxesAttrs;
    // without axes ONNX would reduce all of them
    if (axes.length === 0) return c.input(node, 0);
    return c.op(op, [c.input(node, 0), c.ints(axes)], { keepdims: keepDims ? 1 : 0 });
  };

/**
 * x where a sum over all axes of x*x can be one ReduceSumSquare: f32, and nothing else reads the product. That takes 0.4 of the time of
 * Mul and ReduceSum; over the last axis it is no faster, over the first it is seven times slower.
 */
function squareOf(c: Builder, t: Tensor, axes: readonly number[]): Tensor | undefined {
  if (!isOp(t.node, 'mul') || c.uses(t) !== 1 || t.dtype !== 'f32' || axes.length !== t.rank || t.rank === 0) return undefined;
  const [a, b] = t.node.inputs;
  return a === b ? a : undefined;
}

export const reduceRules: LoweringRules<'sum' | 'reduceMax' | 'reduceMin' | 'reduceProd' | 'argmax' | 'cumsum' | 'topK'> = {
  sum: (c, node) => {
    const { axes, keepDims } = node.attrs;
    const x = squareOf(c, operand(node, 0), axes);
    if (x) return c.op('ReduceSumSquare', [c.value(x), c.ints(axes)], { keepdims: keepDims ? 1 : 0 });
    return reduce('ReduceSum')(c, node);
  },
  reduceMax: reduce('ReduceMax'),
  reduceMin: reduce('ReduceMin'),
  reduceProd: reduce('ReduceProd'),
  argmax: (c, node) => {
    const { axis, keepDims } = node.attrs;
    return c.cast(c.op('ArgMax', [c.input(node, 0)], { axis, keepdims: keepDims ? 1 : 0 }), 'i32');
  },
  cumsum: (c, node) => {
    const { axis, exclusive, reverse } = node.attrs;
    return c.op('CumSum', [c.input(node, 0), c.scalar(axis, 'i64')], { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 });
  },
  topK: (c, node) => {
    const { axis, k, largest } = node.attrs;
    const x = operand(node, 0);
    if (k === 0) {
      const values = c.op('Slice', [c.value(x), c.ints([0]), c.ints([0]), c.ints([axis])]);
      return [values, c.cast(values, 'i32')];
    }
    const [values, indices] = c.multi('TopK', [c.value(x), c.ints([k])], 2, { axis, largest: largest ? 1 : 0, sorted: 1 }) as [
      Value,
      Value,
    ];
    return [values, c.cast(indices, 'i32')];
  },
};
