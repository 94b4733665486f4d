import { dimAdd, dimEq, dimSub, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import {
  broadcast,
  dimAt,
  expectDType,
  expectFinite,
  expectFloat,
  expectInteger,
  expectRank,
  expectShape,
  operands,
  type ShapeRules,
  surelyLess,
} from './check.js';

export const contractRules: ShapeRules<'matmul' | 'conv1d' | 'quantMatmul'> = {
  matmul: (inputs, { transA, transB, alpha }) => {
    const [a, b] = operands('matmul', inputs, 2);
    expectFloat('matmul', a, b);
    expectFinite('matmul', 'alpha', alpha);
    if (a.rank < 2 || b.rank < 2)
      throw new OpError('matmul', `operands need rank 2 or more, got ${shapeStr(a.shape)} and ${shapeStr(b.shape)}`);
    const [m, ka] = transA ? [dimAt(a, -1), dimAt(a, -2)] : [dimAt(a, -2), dimAt(a, -1)];
    const [kb, n] = transB ? [dimAt(b, -1), dimAt(b, -2)] : [dimAt(b, -2), dimAt(b, -1)];
    if (!dimEq(ka, kb)) {
      const side = (name: string, t: boolean, shape: string): string => `${name} ${shape}${t ? ' (transposed)' : ''}`;
      throw new OpError(
        'matmul',
        `inner sizes differ: ${ka} of ${side('a', transA, shapeStr(a.shape))} against ${kb} of ${side('b', transB, shapeStr(b.shape))}`,
      );
    }
    return [{ shape: [...broadcast('matmul', [a.shape.slice(0, -2), b.shape.slice(0, -2)]), m, n], dtype: 'f32' }];
  },
  conv1d: (inputs, { groups, padLow, padHigh, dilation }) => {
    const [x, w] = operands('conv1d', inputs, 2);
    expectFloat('conv1d', x, w);
    expectRank('conv1d', 'x', x, 3, '[B, C, T]');
    expectRank('conv1d', 'the weight', w, 3, '[O, C/groups, K]');
    expectInteger('conv1d', 'groups', groups, 1);
    expectInteger('conv1d', 'padLow', padLow, 0);
    expectInteger('conv1d', 'padHigh', padHigh, 0);
    expectInteger('conv1d', 'dilation', dilation, 1);
    const [channels, out, perGroup, kernel] = [dimAt(x, 1), dimAt(w, 0), dimAt(w, 1), dimAt(w, 2)];
    if (typeof channels !== 'number' || typeof out !== 'number' || typeof perGroup !== 'number' || typeof kernel !== 'number')
      throw new OpError('conv1d', `channels and the weight must have fixed sizes, got ${shapeStr(x.shape)} and ${shapeStr(w.shape)}`);
    if (channels !== perGroup * groups || out % groups !== 0)
      throw new OpError(
        'conv1d',
        `${groups} groups do not fit ${channels} channels of x ${shapeStr(x.shape)} and the weight ${shapeStr(w.shape)} = [O, C/groups, K]`,
      );
    if (kernel < 1) throw new OpError('conv1d', `the weight ${shapeStr(w.shape)} has an empty kernel`);
    const length = dimSub(dimAdd(dimAt(x, 2), padLow + padHigh), dilation * (kernel - 1));
    if (surelyLess(length, 0))
      throw new OpError('conv1d', `the kernel spans ${dilation * (kernel - 1) + 1} steps, more than the padded x ${shapeStr(x.shape)} has`);
    return [{ shape: [dimAt(x, 0), out, length], dtype: 'f32' }];
  },
  quantMatmul: (inputs, { bits, blockSize, outFeatures }) => {
    const op = 'quantMatmul';
    const [x, packed, scales] = operands(op, inputs.slice(0, 3), 3);
    if (bits !== 4 && bits !== 8) throw new OpError(op, `bits must be 4 or 8, got ${bits}`);
    expectInteger(op, 'outFeatures', outFeatures, 1);
    if (!Number.isInteger(Math.log2(blockSize)) || blockSize < 16)
      throw new OpError(op, `blockSize must be a power of two of at least 16, got ${blockSize}`);
    expectFloat(op, x);
    expectDType(op, 'packed', packed.dtype, ['u8']);
    expectDType(op, 'scales', scales.dtype, ['f32']);
    if (x.rank < 1) throw new OpError(op, 'x must be [..., K], got a scalar');
    const k = dimAt(x, -1);
    if (typeof k !== 'number' || k % blockSize !== 0)
      throw new OpError(op, `the last size of x ${shapeStr(x.shape)} must be a multiple of blockSize ${blockSize}`);
    const blocks = k / blockSize;
    expectShape(op, 'packed', packed.shape, [outFeatures, blocks, (blockSize * bits) / 8], '[N, K/blockSize, blockSize*bits/8]');
    expectShape(op, 'scales', scales.shape, [outFeatures * blocks], '[N*K/blockSize]');
    const zeroPoints = inputs[3];
    if (zeroPoints) {
      expectDType(op, 'zeroPoints', zeroPoints.dtype, ['u8']);
      const expected = [outFeatures * Math.ceil((blocks * bits) / 8)];
      expectShape(op, 'zeroPoints', zeroPoints.shape, expected, '[N*ceil(K/blockSize*bits/8)]');
    }
    if (inputs.length > 4) throw new OpError(op, `needs 3 or 4 operands, got ${inputs.length}`);
    return [{ shape: [...x.shape.slice(0, -1), outFeatures], dtype: 'f32' }];
  },
};
