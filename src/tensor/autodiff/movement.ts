import { type Dim, dimAdd, dimSub } from '../dim.js';
import type { Node, Tensor } from '../graph.js';
import * as ir from '../ir.js';
import { noGrad, only, type VjpPart } from './types.js';

/** Adjoint of a slice: zeros of x's shape with g at the sliced places. */
function unslice(node: Node<'slice'>, cotangent: Tensor): Tensor {
  const x = node.inputs[0] as Tensor;
  const { starts, limits, steps } = node.attrs;
  let g = cotangent;
  x.shape.forEach((size, axis) => {
    const start = starts[axis] as Dim;
    const step = steps[axis] as number;
    const high = dimSub(size, limits[axis] as Dim);
    if (step === 1 && typeof start === 'number' && typeof high === 'number') {
      g = ir.padAxis(g, axis, start, high);
      return;
    }
    const steps_ = ir.mul(ir.iota([g.shape[axis] as Dim], 0), ir.scalar(step, 'i32'));
    g = ir.scatterAdd(ir.add(steps_, ir.dimScalar(start, 'i32')), g, axis, size);
  });
  return g;
}

export const movementVjp: VjpPart<
  'reshape' | 'transpose' | 'broadcastTo' | 'slice' | 'pad' | 'concat' | 'gather' | 'scatterAdd' | 'takeAlong' | 'scatterAlong'
> = {
  reshape: (node, cotangents) => [ir.reshape(only(cotangents), (node.inputs[0] as Tensor).shape)],
  transpose: (node, cotangents) => {
    const inverse: number[] = [];
    node.attrs.perm.forEach((p, i) => {
      inverse[p] = i;
    });
    return [ir.transpose(only(cotangents), inverse)];
  },
  broadcastTo: (node, cotangents) => [ir.sumTo(only(cotangents), (node.inputs[0] as Tensor).shape)],
  slice: (node, cotangents) => [unslice(node, only(cotangents))],
  pad: (node, cotangents) => {
    const x = node.inputs[0] as Tensor;
    let g = only(cotangents);
    x.shape.forEach((size, axis) => {
      const low = node.attrs.low[axis] as number;
      if (low || node.attrs.high[axis]) g = ir.sliceAxis(g, axis, low, dimAdd(size, low));
    });
    return [g];
  },
  concat: (node, cotangents, needs) => {
    const { axis } = node.attrs;
    let at: Dim = 0;
    return node.inputs.map((x, i) => {
      const start = at;
      at = dimAdd(at, x.shape[axis] as Dim);
      return needs[i] ? ir.sliceAxis(only(cotangents), axis, start, at) : null;
    });
  },
  gather: (node, cotangents) => {
    const [x, indices] = node.inputs as readonly [Tensor, Tensor];
    return [ir.scatterAdd(indices, only(cotangents), node.attrs.axis, x.shape[node.attrs.axis] as Dim), null];
  },
  scatterAdd: (node, cotangents) => [null, ir.gather(only(cotangents), node.inputs[0] as Tensor, node.attrs.axis)],
  takeAlong: (node, cotangents) => {
    const [x, indices] = node.inputs as readonly [Tensor, Tensor];
    return [ir.scatterAlong(ir.zerosOf(x.shape), indices, only(cotangents), node.attrs.axis, 'add'), null];
  },
  scatterAlong: (node, cotangents, needs) => {
    const [, indices, updates] = node.inputs as readonly [Tensor, Tensor, Tensor];
    const { axis, mode } = node.attrs;
    const g = only(cotangents);
    const dx = mode === 'add' ? g : ir.scatterAlong(g, indices, ir.zerosOf(updates.shape), axis, 'set');
    return [needs[0] ? dx : null, null, needs[2] ? ir.takeAlong(g, indices, axis) : null];
  },
};

export const leafVjp: VjpPart<'input' | 'constant' | 'iota' | 'dimValue' | 'threefry'> = {
  input: () => [],
  constant: () => [],
  iota: () => [],
  dimValue: () => [],
  threefry: noGrad('random bits have no derivative'),
};
