import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import type { DType } from '../../../src/tensor/dtype.js';
import { Graph, inputTensor, makeNode } from '../../../src/tensor/graph.js';
import type { PrimAttrs, PrimName } from '../../../src/tensor/prims.js';
import { threefryBits } from '../../../src/tensor/random/threefry.js';
import { evaluate, fromNDArray, type RefArray, refArray, toNDArray } from '../../../src/tensor/reference/index.js';

/** Applies one primitive in the reference. */
function run<K extends PrimName>(op: K, inputs: readonly (NDArray | RefArray)[], attrs: PrimAttrs[K]): RefArray[] {
  const values = inputs.map((a) => ('size' in a ? fromNDArray(a) : a));
  const tensors = values.map((a, i) => inputTensor(`x${i}`, a.shape, a.dtype));
  return evaluate(new Graph(tensors, makeNode(op, tensors, attrs).outs), values);
}

const numbers = <K extends PrimName>(op: K, inputs: readonly (NDArray | RefArray)[], attrs: PrimAttrs[K]): number[] =>
  Array.from(run(op, inputs, attrs)[0]?.data ?? []);

const i32 = (values: number[]): NDArray => array(values, { dtype: 'i32' });

describe('integers', () => {
  it('wrap as 32-bit patterns', () => {
    expect(numbers('add', [i32([2147483647]), i32([1])], {})).toEqual([-2147483648]);
    expect(numbers('mul', [i32([123456789]), i32([987654321])], {})).toEqual([Math.imul(123456789, 987654321)]);
    expect(numbers('sum', [i32([2147483647, 2])], { axes: [0], keepDims: false })).toEqual([-2147483647]);
    const u32 = (values: number[]): NDArray => array(values, { dtype: 'u32' });
    expect(numbers('mul', [u32([4294967295]), u32([4294967295])], {})).toEqual([1]);
    expect(numbers('sub', [u32([1]), u32([2])], {})).toEqual([4294967295]);
  });

  it('refuse division by zero, and i64 past 2^53', () => {
    expect(() => run('div', [i32([1]), i32([0])], {})).toThrow(/integer division by zero/);
    expect(() => run('mod', [i32([1]), i32([0])], {})).toThrow(/integer division by zero/);
    const big = array([2 ** 40], { dtype: 'i64' });
    expect(() => run('mul', [big, big], {})).toThrow(/2\^53/);
  });

  it('mod has the sign of the divisor, div truncates', () => {
    expect(numbers('mod', [i32([7, -7, 7, -7, 6]), i32([3, 3, -3, -3, -3])], {})).toEqual([1, 2, -2, -1, 0]);
    expect(numbers('div', [i32([7, -7, 7]), i32([2, 2, -2])], {})).toEqual([3, -3, -3]);
  });
});

describe('cast', () => {
  const cast = (values: number[], dtype: DType): number[] => numbers('cast', [array(values)], { dtype });
  it('truncates to integers, tests against zero for bool, rounds to f16 and bf16, keeps f32 unrounded', () => {
    expect(cast([1.9, -1.9, 0.5], 'i32')).toEqual([1, -1, 0]);
    expect(cast([0, -0, 0.25, Number.NaN], 'bool')).toEqual([0, 0, 1, 1]);
    expect(cast([1 + 2 ** -11, 1 + 3 * 2 ** -11, 70000], 'f16')).toEqual([1, 1 + 2 ** -9, Number.POSITIVE_INFINITY]);
    expect(cast([1 + 2 ** -8, 1 + 3 * 2 ** -8], 'bf16')).toEqual([1, 1 + 2 ** -6]);
    expect(numbers('cast', [refArray('f32', [1], Float64Array.of(0.1))], { dtype: 'f32' })).toEqual([0.1]);
    expect(numbers('cast', [i32([-1, 300])], { dtype: 'u8' })).toEqual([255, 44]);
  });
});

describe('special values', () => {
  it('round goes to even, max and min pass NaN on, erf is odd and saturates', () => {
    expect(numbers('round', [array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4])], {})).toEqual([0, 2, 2, 0, -2, 2]);
    expect(numbers('max', [array([Number.NaN, 1]), array([1, Number.NaN])], {})).toEqual([Number.NaN, Number.NaN]);
    expect(numbers('erf', [array([0, 1, -1, 9])], {})).toEqual(
      [0, 0.8427007929497149, -0.8427007929497149, 1].map((x) => expect.closeTo(x, 14)),
    );
  });

  it('softmax and logSoftmax survive large and infinite logits', () => {
    expect(numbers('softmax', [array([1000, 1000, Number.NEGATIVE_INFINITY])], { axis: 0 })).toEqual(
      [0.5, 0.5, 0].map((x) => expect.closeTo(x, 14)),
    );
    expect(numbers('logSoftmax', [array([1e6, 0])], { axis: 0 })).toEqual([0, -1e6]);
  });

  it('a query that sees no key attends to nothing', () => {
    const ones = array([[[[1, 1]]]]);
    const bias = array([Number.NEGATIVE_INFINITY]);
    expect(numbers('attention', [ones, ones, ones, bias], { scale: 1, causal: false, window: 0, softcap: 0 })).toEqual([0, 0]);
  });
});

describe('order', () => {
  it('argmax takes the first of equal maxima; topK breaks ties by the lower index', () => {
    const x = array([1, 3, 3, 2, 3]);
    expect(numbers('argmax', [x], { axis: 0, keepDims: true })).toEqual([1]);
    const [values, indices] = run('topK', [x], { axis: 0, k: 4, largest: true });
    expect([...(values?.data ?? [])]).toEqual([3, 3, 3, 2]);
    expect([...(indices?.data ?? [])]).toEqual([1, 2, 4, 3]);
    expect([...(run('topK', [x], { axis: 0, k: 3, largest: false })[1]?.data ?? [])]).toEqual([0, 3, 1]);
  });
});

describe('indices', () => {
  const x = array([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  it.each([
    ['gather', () => run('gather', [x, i32([0, 3])], { axis: 0 }), /index 3 \(position 1\) is outside \[0, 3\) of axis 0/],
    ['negative gather', () => run('gather', [x, i32([-1])], { axis: 1 }), /index -1 .* \[0, 2\) of axis 1/],
    ['takeAlong', () => run('takeAlong', [x, array([[2, 0]], { dtype: 'i32' })], { axis: 1 }), /must/],
    ['takeAlong index', () => run('takeAlong', [x, array([[0, 7]], { dtype: 'i32' })], { axis: 0 }), /index 7 .* axis 0/],
    ['scatterAdd', () => run('scatterAdd', [i32([4]), array([1])], { axis: 0, size: 4 }), /index 4 .* \[0, 4\)/],
    ['crossEntropy', () => run('crossEntropy', [x, i32([0, 1, 2])], {}), /index 2 .* \[0, 2\)/],
  ])('%s out of range is an error', (_, f, message) => {
    expect(f).toThrow(message);
  });

  it('crossEntropy ignores negative targets', () => {
    expect(numbers('crossEntropy', [x, i32([0, -1, -100])], {})).toEqual([Math.log1p(Math.E), 0, 0].map((v) => expect.closeTo(v, 12)));
  });

  it('scatterAdd is the adjoint of gather', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }), fc.nat(1000), (indices, seed) => {
        const draw = (n: number, key: number): Float64Array => Float64Array.from(threefryBits([seed, key], n), (b) => b / 2 ** 32 - 0.5);
        const dot = (a: Float64Array, b: Float64Array): number => a.reduce((total, v, i) => total + v * (b[i] as number), 0);
        const source = refArray('f32', [2, 4, 3], draw(24, 0));
        const updates = refArray('f32', [2, indices.length, 3], draw(6 * indices.length, 1));
        const [gathered] = run('gather', [source, i32(indices)], { axis: 1 });
        const [scattered] = run('scatterAdd', [i32(indices), updates], { axis: 1, size: 4 });
        expect(dot(gathered?.data ?? source.data, updates.data)).toBeCloseTo(dot(source.data, scattered?.data ?? source.data), 12);
      }),
    );
  });
});

describe('quantMatmul', () => {
  it('reads two 4-bit codes of a byte low half first, with the default and with packed zero points', () => {
    const k = 32;
    const codes = Array.from({ length: k }, (_, i) => i % 16);
    const packed = array(
      Array.from({ length: k / 2 }, (_, i) => (codes[2 * i] as number) | ((codes[2 * i + 1] as number) << 4)),
      { dtype: 'u8', shape: [1, 2, 8] },
    );
    const scales = array([0.5, 2]);
    const x = array(Array.from({ length: k }, (_, i) => i + 1));
    const expected = (zeros: readonly number[]): number =>
      codes.reduce((total, c, i) => total + (i + 1) * (c - (zeros[i >> 4] as number)) * (i < 16 ? 0.5 : 2), 0);
    const attrs = { bits: 4, blockSize: 16, outFeatures: 1 } as const;
    expect(numbers('quantMatmul', [x, packed, scales], attrs)).toEqual([expected([8, 8])]);
    const zeroPoints = array([3 | (5 << 4)], { dtype: 'u8' });
    expect(numbers('quantMatmul', [x, packed, scales, zeroPoints], attrs)).toEqual([expected([3, 5])]);
  });

  it('reads 8-bit codes around 128', () => {
    const packed = array(
      Array.from({ length: 32 }, (_, i) => 128 + (i % 16) * (i < 16 ? 1 : -1)),
      { dtype: 'u8', shape: [2, 1, 16] },
    );
    const x = array(Array.from({ length: 16 }, (_, i) => i));
    const squares = 1240;
    expect(numbers('quantMatmul', [x, packed, array([1, 0.5])], { bits: 8, blockSize: 16, outFeatures: 2 })).toEqual([
      squares,
      -squares / 2,
    ]);
  });
});

describe('leaves', () => {
  it('iota counts along its axis', () => {
    expect(numbers('iota', [], { shape: [2, 3], axis: 1, dtype: 'i32' })).toEqual([0, 1, 2, 0, 1, 2]);
    expect(numbers('iota', [], { shape: [2, 3], axis: 0, dtype: 'f32' })).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it('threefry gives the words of the host generator', () => {
    const key = array([5, 6], { dtype: 'u32' });
    expect(numbers('threefry', [key], { shape: [3, 5] })).toEqual([...threefryBits([5, 6], 15)]);
  });
});

describe('conversions', () => {
  it.each(['f32', 'f16', 'bf16', 'i32', 'i64', 'u32', 'u8', 'bool'] as const)('%s goes there and back', (dtype) => {
    const a = array([0, 1, dtype === 'bool' ? 1 : 3], { dtype, shape: [3, 1] });
    const back = toNDArray(fromNDArray(a));
    expect([back.dtype, back.shape, back.toNumbers()]).toEqual([dtype, [3, 1], a.toNumbers()]);
  });

  it('refuses i64 that float64 cannot hold', () => {
    expect(() => fromNDArray(array(BigInt64Array.of(2n ** 60n)))).toThrow(/2\^53/);
  });
});
