import { type Dim, dimEq, shapeEq, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import {
  dimAt,
  expectAxis,
  expectDType,
  expectSameDType,
  expectShape,
  expectValidShape,
  indexTypes,
  operands,
  type ShapeRules,
  signed,
} from './check.js';

export const indexingRules: ShapeRules<'gather' | 'scatterAdd' | 'takeAlong' | 'scatterAlong'> = {
  gather: (inputs, { axis }) => {
    const [x, indices] = operands('gather', inputs, 2);
    expectDType('gather', 'indices', indices.dtype, indexTypes);
    expectAxis('gather', axis, x.rank, x.shape);
    return [{ shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], dtype: x.dtype }];
  },
  scatterAdd: (inputs, { axis, size }) => {
    const [indices, updates] = operands('scatterAdd', inputs, 2);
    expectDType('scatterAdd', 'indices', indices.dtype, indexTypes);
    expectDType('scatterAdd', 'updates', updates.dtype, signed);
    expectValidShape('scatterAdd', [size]);
    const rank = updates.rank - indices.rank + 1;
    expectAxis('scatterAdd', axis, rank);
    if (!shapeEq(updates.shape.slice(axis, axis + indices.rank), indices.shape))
      throw new OpError(
        'scatterAdd',
        `updates ${shapeStr(updates.shape)} must have the axes of the indices ${shapeStr(indices.shape)} from axis ${axis} on`,
      );
    return [{ shape: [...updates.shape.slice(0, axis), size, ...updates.shape.slice(axis + indices.rank)], dtype: updates.dtype }];
  },
  takeAlong: (inputs, { axis }) => {
    const [x, indices] = operands('takeAlong', inputs, 2);
    expectDType('takeAlong', 'indices', indices.dtype, indexTypes);
    expectAxis('takeAlong', axis, x.rank, x.shape);
    expectAligned('takeAlong', x.shape, indices.shape, axis);
    return [{ shape: indices.shape, dtype: x.dtype }];
  },
  scatterAlong: (inputs, { axis, mode }) => {
    const [x, indices, updates] = operands('scatterAlong', inputs, 3);
    expectDType('scatterAlong', 'indices', indices.dtype, indexTypes);
    expectAxis('scatterAlong', axis, x.rank, x.shape);
    expectAligned('scatterAlong', x.shape, indices.shape, axis);
    const dtype = expectSameDType('scatterAlong', [x, updates]);
    if (mode === 'add') expectDType('scatterAlong', 'operands', dtype, signed);
    expectShape('scatterAlong', 'updates', updates.shape, indices.shape, "the indices' shape");
    if (mode === 'set' && surelyLonger(dimAt(indices, axis), dimAt(x, axis)))
      throw new OpError('scatterAlong', `sets more elements along axis ${axis} (${shapeStr(indices.shape)}) than ${shapeStr(x.shape)} has`);
    return [{ shape: x.shape, dtype }];
  },
};

const surelyLonger = (a: Dim, b: Dim): boolean => typeof a === 'number' && typeof b === 'number' && a > b;

function expectAligned(op: string, x: readonly Dim[], indices: readonly Dim[], axis: number): void {
  if (x.length === indices.length && x.every((d, i) => i === axis || dimEq(d, indices[i] as Dim))) return;
  throw new OpError(op, `indices ${shapeStr(indices)} must have the shape of the operand ${shapeStr(x)} outside axis ${axis}`);
}
