import { evalDim, evalShape } from '../dim.js';
import { OpError } from '../errors.js';
import { threefryBits } from '../random/threefry.js';
import { countOf, fromNDArray, type RefArray, refArray, refScalar, refZeros, splitAxis } from './refArray.js';
import type { ReferenceRules } from './rule.js';

/** Slice t of the leading axis. */
function sliceAt(x: RefArray, t: number): RefArray {
  const shape = x.shape.slice(1);
  const n = countOf(shape);
  return refArray(x.dtype, shape, x.data.subarray(t * n, (t + 1) * n));
}

export const structureRules: ReferenceRules<'input' | 'constant' | 'iota' | 'dimValue' | 'threefry' | 'scan' | 'call' | 'customVjp'> = {
  input: (_ctx, node) => {
    throw new OpError('evaluate', `the graph reads the argument "${node.attrs.name}", which is not among its inputs`, node.where);
  },

  constant: (_ctx, node) => [fromNDArray(node.attrs.value)],

  iota: (ctx, node) => {
    const { axis, dtype } = node.attrs;
    const shape = evalShape(node.attrs.shape, ctx.symbols);
    const [, n, inner] = splitAxis(shape, axis);
    const data = new Float64Array(countOf(shape));
    for (let i = 0; i < data.length; i++) data[i] = Math.floor(i / inner) % n;
    return [refArray(dtype, shape, data)];
  },

  dimValue: (ctx, node) => [refScalar(node.attrs.dtype, evalDim(node.attrs.dim, ctx.symbols))],

  threefry: (ctx, node, inputs) => {
    const [key] = inputs as readonly [RefArray];
    const shape = evalShape(node.attrs.shape, ctx.symbols);
    const bits = threefryBits([key.data[0] as number, key.data[1] as number], countOf(shape));
    return [refArray('u32', shape, Float64Array.from(bits))];
  },

  scan: (ctx, node, inputs) => {
    const { body, numConsts, numCarries, reverse } = node.attrs;
    const consts = inputs.slice(0, numConsts);
    const xs = inputs.slice(numConsts + numCarries);
    const [first] = xs;
    if (!first) throw new OpError(node.op, 'needs at least one array to scan over, to know the number of steps', node.where);
    const steps = first.shape[0] as number;
    let carries = inputs.slice(numConsts, numConsts + numCarries);
    const ys = body.outputs.slice(numCarries).map((y) => refZeros(y.dtype, [steps, ...evalShape(y.shape, ctx.symbols)]));
    for (let step = 0; step < steps; step++) {
      const t = reverse ? steps - 1 - step : step;
      const outs = ctx.evaluate(body, [...consts, ...carries, ...xs.map((x) => sliceAt(x, t))]);
      carries = outs.slice(0, numCarries);
      outs.slice(numCarries).forEach((y, i) => {
        ys[i]?.data.set(y.data, t * y.data.length);
      });
    }
    return [...carries, ...ys];
  },

  call: (ctx, node, inputs) => ctx.evaluate(node.attrs.body, inputs),

  customVjp: (_ctx, node, inputs) => inputs.slice(node.attrs.numArgs, node.attrs.numArgs + node.attrs.numOuts),
};
