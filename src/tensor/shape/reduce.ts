import { type Dim, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import type { Spec, Tensor } from '../graph.js';
import type { AxesAttrs, PrimName } from '../prims.js';
import { dimAt, expectAxis, expectDType, expectFloat, expectInteger, operands, type ShapeRules, signed } from './check.js';

const reduction =
  (op: PrimName, hasIdentity: boolean) =>
  (inputs: readonly Tensor[], { axes, keepDims }: AxesAttrs): readonly Spec[] => {
    const [x] = operands(op, inputs, 1);
    expectDType(op, 'the operand', x.dtype, signed);
    for (const [i, axis] of axes.entries()) {
      expectAxis(op, axis, x.rank, x.shape);
      if (i > 0 && axis <= (axes[i - 1] as number)) throw new OpError(op, `axes [${axes.join(', ')}] must be distinct and ascending`);
      if (!hasIdentity && dimAt(x, axis) === 0) throw new OpError(op, `axis ${axis} of ${shapeStr(x.shape)} is empty and has no extreme`);
    }
    return [{ shape: reducedShape(x.shape, axes, keepDims), dtype: x.dtype }];
  };

function reducedShape(shape: readonly Dim[], axes: readonly number[], keepDims: boolean): Dim[] {
  return keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i));
}

/** One float operand, normalised along an axis. */
const alongAxis =
  (op: PrimName) =>
  (inputs: readonly Tensor[], { axis }: { readonly axis: number }): readonly Spec[] => {
    const [x] = operands(op, inputs, 1);
    expectFloat(op, x);
    expectAxis(op, axis, x.rank, x.shape);
    return [{ shape: x.shape, dtype: x.dtype }];
  };

export const reduceRules: ShapeRules<
  'sum' | 'reduceMax' | 'reduceMin' | 'reduceProd' | 'argmax' | 'cumsum' | 'topK' | 'softmax' | 'logSoftmax'
> = {
  sum: reduction('sum', true),
  reduceMax: reduction('reduceMax', false),
  reduceMin: reduction('reduceMin', false),
  reduceProd: reduction('reduceProd', true),
  argmax: (inputs, { axis, keepDims }) => {
    const [x] = operands('argmax', inputs, 1);
    expectDType('argmax', 'the operand', x.dtype, signed);
    expectAxis('argmax', axis, x.rank, x.shape);
    if (dimAt(x, axis) === 0) throw new OpError('argmax', `axis ${axis} of ${shapeStr(x.shape)} is empty and has no maximum`);
    return [{ shape: reducedShape(x.shape, [axis], keepDims), dtype: 'i32' }];
  },
  cumsum: (inputs, { axis }) => {
    const [x] = operands('cumsum', inputs, 1);
    expectDType('cumsum', 'the operand', x.dtype, signed);
    expectAxis('cumsum', axis, x.rank, x.shape);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  topK: (inputs, { axis, k }) => {
    const [x] = operands('topK', inputs, 1);
    expectDType('topK', 'the operand', x.dtype, signed);
    expectAxis('topK', axis, x.rank, x.shape);
    expectInteger('topK', 'k', k, 0);
    const size = dimAt(x, axis);
    if (typeof size === 'number' && k > size)
      throw new OpError('topK', `k = ${k} exceeds the ${size} elements along axis ${axis} of ${shapeStr(x.shape)}`);
    const shape = x.shape.map((d, i) => (i === axis ? k : d));
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: 'i32' },
    ];
  },
  softmax: alongAxis('softmax'),
  logSoftmax: alongAxis('logSoftmax'),
};
