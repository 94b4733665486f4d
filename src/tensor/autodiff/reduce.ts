import type { Shape } from '../dim.js';
import { apply, type Node, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import type { AxesAttrs } from '../prims.js';
import { noGrad, only, type VjpPart } from './types.js';

const keptShape = (x: Tensor, attrs: AxesAttrs): Shape => x.shape.map((d, i) => (attrs.axes.includes(i) ? 1 : d));

/** Cotangent of an extremum: shared equally among the positions that attain it. */
function extremum(node: Node<'reduceMax'> | Node<'reduceMin'>, cotangents: readonly (Tensor | null)[]): [Tensor] {
  const x = node.inputs[0] as Tensor;
  const kept = keptShape(x, node.attrs);
  const hit = ir.cast(ir.eq(x, ir.reshape(node.out(), kept)), 'f32');
  return [ir.mul(hit, ir.div(ir.reshape(only(cotangents), kept), ir.sum(hit, node.attrs.axes)))];
}

export const reduceVjp: VjpPart<
  'sum' | 'reduceMax' | 'reduceMin' | 'reduceProd' | 'argmax' | 'cumsum' | 'topK' | 'softmax' | 'logSoftmax'
> = {
  sum: (node, cotangents) => {
    const x = node.inputs[0] as Tensor;
    return [ir.broadcastTo(ir.reshape(only(cotangents), keptShape(x, node.attrs)), x.shape)];
  },
  reduceMax: extremum,
  reduceMin: extremum,
  // Product of the other factors; with one zero only that position has a gradient, with more none has.
  reduceProd: (node, cotangents) => {
    const x = node.inputs[0] as Tensor;
    const g = ir.reshape(only(cotangents), keptShape(x, node.attrs));
    const isZero = ir.eq(x, ir.scalar(0));
    const zeros = ir.sum(ir.cast(isZero, 'f32'), node.attrs.axes);
    const nonZero = ir.where(isZero, ir.scalar(1), x);
    const rest = ir.div(apply('reduceProd', [nonZero], { axes: node.attrs.axes, keepDims: true }), nonZero);
    const noZero = ir.eq(zeros, ir.scalar(0));
    const single = ir.and(ir.eq(zeros, ir.scalar(1)), isZero);
    return [ir.mul(g, ir.where(noZero, rest, ir.where(single, rest, ir.scalar(0))))];
  },
  argmax: noGrad('an index has no derivative; use softmax or topK values'),
  cumsum: (node, cotangents) => [apply('cumsum', [only(cotangents)], { ...node.attrs, reverse: !node.attrs.reverse })],
  topK: (node, cotangents) => {
    const x = node.inputs[0] as Tensor;
    const g = cotangents[0];
    return [g ? ir.scatterAlong(ir.zerosOf(x.shape), node.out(1), g, node.attrs.axis, 'add') : null];
  },
  softmax: (node, cotangents) => {
    const y = node.out();
    const g = only(cotangents);
    return [ir.mul(y, ir.sub(g, ir.sum(ir.mul(g, y), [node.attrs.axis])))];
  },
  logSoftmax: (node, cotangents) => {
    const g = only(cotangents);
    return [ir.sub(g, ir.mul(ir.exp(node.out()), ir.sum(g, [node.attrs.axis])))];
  },
};
