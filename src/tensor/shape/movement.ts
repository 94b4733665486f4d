import { type Dim, dimAdd, dimDiv, dimEq, dimSub, shapeStr, sizeOf } from '../dim.js';
import { OpError } from '../errors.js';
import {
  dimAt,
  expectAxis,
  expectBroadcastsTo,
  expectInteger,
  expectSameDType,
  expectValidShape,
  operands,
  type ShapeRules,
  shapesStr,
  surelyLess,
} from './check.js';

/** ceil(extent / step) for a positive step; undefined where it is no polynomial of the symbols. */
export function ceilDiv(extent: Dim, step: number): Dim | undefined {
  if (typeof extent === 'number') return Math.ceil(extent / step);
  const constant = extent.terms.get('') ?? 0;
  const quotient = dimDiv(dimSub(extent, constant), step);
  return quotient === undefined ? undefined : dimAdd(quotient, Math.ceil(constant / step));
}

const isDim = (d: Dim): boolean => (typeof d === 'number' ? Number.isSafeInteger(d) : typeof d === 'object' && d !== null);

/** Number of elements that one axis of a slice keeps. */
function slicedSize(shape: readonly Dim[], axis: number, start: Dim, limit: Dim, step: number): Dim {
  const size = shape[axis] as Dim;
  const range = `[${start}, ${limit}) by ${step} on axis ${axis} of ${shapeStr(shape)}`;
  const refuse = (why: string): never => {
    throw new OpError('slice', `${range}: ${why}`);
  };
  if (!isDim(start) || !isDim(limit)) refuse('bounds must be integers or symbolic sizes');
  if (!Number.isSafeInteger(step) || step === 0) refuse('the step must be a non-zero integer');
  const [low, high] = step > 0 ? [start, limit] : [dimAdd(limit, 1), dimAdd(start, 1)];
  if (surelyLess(low, 0) || surelyLess(size, high)) refuse(`bounds must stay within 0 and ${size}`);
  if (surelyLess(high, low)) refuse('the limit lies before the start');
  const count = ceilDiv(dimSub(high, low), Math.abs(step));
  return count ?? refuse(`the number of elements is no whole expression of the symbols; use step 1 or a multiple of ${Math.abs(step)}`);
}

export const movementRules: ShapeRules<'reshape' | 'transpose' | 'broadcastTo' | 'slice' | 'pad' | 'concat'> = {
  reshape: (inputs, { shape }) => {
    const [x] = operands('reshape', inputs, 1);
    expectValidShape('reshape', shape);
    const [from, to] = [sizeOf(x.shape), sizeOf(shape)];
    if (!dimEq(from, to))
      throw new OpError('reshape', `${shapeStr(x.shape)} has ${from} elements and cannot become ${shapeStr(shape)} with ${to}`);
    return [{ shape, dtype: x.dtype }];
  },
  transpose: (inputs, { perm }) => {
    const [x] = operands('transpose', inputs, 1);
    if (perm.length !== x.rank || !x.shape.every((_, i) => perm.includes(i)))
      throw new OpError('transpose', `[${perm.join(', ')}] is no permutation of the ${x.rank} axes of ${shapeStr(x.shape)}`);
    return [{ shape: perm.map((p) => dimAt(x, p)), dtype: x.dtype }];
  },
  broadcastTo: (inputs, { shape }) => {
    const [x] = operands('broadcastTo', inputs, 1);
    expectValidShape('broadcastTo', shape);
    expectBroadcastsTo('broadcastTo', 'shape', x.shape, shape);
    return [{ shape, dtype: x.dtype }];
  },
  slice: (inputs, { starts, limits, steps }) => {
    const [x] = operands('slice', inputs, 1);
    if (starts.length !== x.rank || limits.length !== x.rank || steps.length !== x.rank)
      throw new OpError('slice', `needs a start, limit and step for each of the ${x.rank} axes of ${shapeStr(x.shape)}`);
    return [
      { shape: x.shape.map((_, i) => slicedSize(x.shape, i, starts[i] as Dim, limits[i] as Dim, steps[i] as number)), dtype: x.dtype },
    ];
  },
  pad: (inputs, { low, high, value }) => {
    const [x] = operands('pad', inputs, 1);
    if (low.length !== x.rank || high.length !== x.rank)
      throw new OpError('pad', `needs low and high for each of the ${x.rank} axes of ${shapeStr(x.shape)}`);
    for (const n of [...low, ...high]) expectInteger('pad', 'a width', n, 0);
    if (Number.isNaN(value) || typeof value !== 'number') throw new OpError('pad', `the value must be a number, got ${value}`);
    return [{ shape: x.shape.map((d, i) => dimAdd(dimAdd(d, low[i] as number), high[i] as number)), dtype: x.dtype }];
  },
  concat: (inputs, { axis }) => {
    const dtype = expectSameDType('concat', inputs);
    const [first, ...rest] = inputs;
    if (!first) throw new OpError('concat', 'needs at least one operand');
    expectAxis('concat', axis, first.rank, first.shape);
    let total = dimAt(first, axis);
    for (const x of rest) {
      if (x.rank !== first.rank || !x.shape.every((d, i) => i === axis || dimEq(d, first.shape[i] as Dim)))
        throw new OpError('concat', `shapes ${shapesStr(inputs)} differ outside axis ${axis}`);
      total = dimAdd(total, dimAt(x, axis));
    }
    return [{ shape: first.shape.map((d, i) => (i === axis ? total : d)), dtype }];
  },
};
