import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { type Shape, sym } from '../../../src/tensor/dim.js';
import { type DType, dtypes } from '../../../src/tensor/dtype.js';
import { OpError } from '../../../src/tensor/errors.js';
import { apply, Graph, inputTensor, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';
import type { AttentionAttrs } from '../../../src/tensor/prims.js';

const arg = (shape: Shape, dtype: DType = 'f32'): Tensor => inputTensor('x', shape, dtype);
const [B, S] = [sym('B'), sym('S')];
const attention: AttentionAttrs = { scale: 1, causal: true, window: 0, softcap: 0 };
const [x23, x3, i3] = [arg([2, 3]), arg([3]), arg([3], 'i32')];

/** The message of what `f` throws, which must be an OpError that names this file. */
function messageOf(f: () => unknown): string {
  try {
    f();
  } catch (error) {
    expect(error).toBeInstanceOf(OpError);
    return (error as OpError).message;
  }
  throw new Error('nothing was thrown');
}

const cases: Record<string, readonly [() => unknown, RegExp]> = {
  'broadcasting of unequal sizes': [() => x23.add(arg([2])), /^add: shapes \[2, 3\] and \[2\] do not broadcast: axis -1 is 3 against 2/],
  'a symbol against a number': [
    () => arg([B, 3]).mul(arg([4, 3])),
    /axis -2 is B against 4; a symbolic size broadcasts only with the same symbol or 1/,
  ],
  'a symbol against another symbol': [() => arg([B]).sub(arg([S])), /axis -1 is B against S/],
  'mixed dtypes': [() => x3.add(i3), /operands have the dtypes f32 and i32/],
  'arithmetic on f16': [() => arg([3], 'f16').add(arg([3], 'f16')), /got f16 \(f16 is a storage type\); cast to f32: x\.cast\('f32'\)/],
  'arithmetic on bf16': [() => arg([3], 'bf16').sum(), /bf16 is a storage type\); cast to f32/],
  'arithmetic on u8': [() => arg([3], 'u8').mul(2), /must be f32, i32, i64 or u32, got u8; cast to f32/],
  'exp of integers': [() => i3.exp(), /exp: the operand must be f32, got i32; cast to f32/],
  'softmax of integers': [() => i3.softmax(), /softmax: the operand must be f32, got i32/],
  'matmul of integers': [() => arg([2, 2], 'i32').matmul(arg([2, 2], 'i32')), /matmul: the operand must be f32, got i32/],
  'negation of u32': [() => arg([3], 'u32').neg(), /neg: the operand must be f32, i32 or i64, got u32/],
  'a float condition': [() => ops.where(x3, x3, x3), /where: the condition must be bool, got f32; compare it/],
  'logic on integers': [() => i3.and(i3), /and: operands must be bool, got i32/],
  'a fraction beside integers': [() => i3.add(0.5), /0\.5 is no i32 value/],
  'a negative number beside u32': [() => arg([3], 'u32').add(-1), /-1 is no u32 value/],
  'something that is no operand': [() => ops.exp('x' as never), /an operand must be a Tensor, an NDArray .* got string/],
  'null as an operand': [() => x3.add(null as never), /got null/],

  'an axis past the end': [() => x23.sum({ axis: 2 }), /^sum: axis 2 is out of range for shape \[2, 3\] \(-2 to 1\)/],
  'an axis before the front': [() => x23.softmax(-3), /softmax: axis -3 is out of range/],
  'a fractional axis': [() => x23.max({ axis: 0.5 }), /axis 0\.5 is out of range/],
  'an axis of a scalar': [() => arg([]).cumsum(), /which has no axes/],
  'an axis named twice': [() => x23.mean({ axis: [1, -1] }), /name an axis of \[2, 3\] twice/],
  'the maximum of nothing': [() => arg([2, 0]).max({ axis: 1 }), /axis 1 of \[2, 0\] is empty/],
  'more than there is in topK': [() => x3.topK(4), /k = 4 exceeds the 3 elements along axis 0 of \[3\]/],
  'a fractional k': [() => x3.topK(1.5), /k must be an integer/],
  'sorting a symbolic axis': [() => arg([B]).sort(), /sort: axis -1 of \[B\] must have a fixed size/],

  'NaN in a shape': [() => x23.reshape([Number.NaN, 2]), /reshape: shape \[NaN, 2\] has the size NaN; sizes are non-negative integers/],
  'a fraction in a shape': [() => ops.zeros([1.5]), /has the size 1\.5/],
  'a negative size': [() => x3.broadcastTo([-2, 3]), /has the size -2/],
  'a wrong number of elements': [() => x23.reshape([4]), /\[2, 3\] has 6 elements and cannot become \[4\] with 4/],
  'an inexact -1': [() => x23.reshape([4, -1]), /6 is no multiple of 4/],
  'two sizes of -1': [() => x23.reshape([-1, -1]), /only one size/],
  'a symbolic size that does not divide': [() => arg([B, 3]).reshape([-1, 2]), /3\*B is no multiple of 2/],
  'no permutation': [() => x23.transpose([0, 0]), /\[0, 0\] is no permutation of the 2 axes of \[2, 3\]/],
  'broadcasting down': [() => x23.broadcastTo([3]), /\[2, 3\] does not broadcast to \[3\]/],
  'a slice past the end': [() => x23.slice({ 1: [0, 4] }), /slice: \[0, 4\) by 1 on axis 1 of \[2, 3\]: bounds must stay within 0 and 3/],
  'a slice before the front': [() => x3.slice([[-4]]), /bounds must stay within 0 and 3/],
  'a slice that ends before it starts': [() => x3.slice([[2, 1]]), /the limit lies before the start/],
  'a step of 0': [() => x3.slice([[0, 3, 0]]), /the step must be a non-zero integer/],
  'a fractional bound': [() => x3.slice([[0.5, 3]]), /bounds must be integers or symbolic sizes/],
  'a symbolic slice of no whole size': [() => arg([B]).slice([[0, null, 2]]), /no whole expression of the symbols/],
  'an index past the end': [() => x3.at(3), /at: index 3 is out of range for axis 0 of \[3\]/],
  'uneven parts': [() => x3.split(2), /does not split into 2 equal parts/],
  'parts that do not add up': [() => x3.split([1, 1]), /add up to 2, but axis -1 of \[3\] has 3/],
  'a negative pad': [() => x3.pad([[-1, 0]]), /a width must be an integer of at least 0, got -1/],
  'misaligned concat': [() => ops.concat([x23, arg([3, 3])], 1), /shapes \[2, 3\] and \[3, 3\] differ outside axis 1/],
  'concat of nothing': [() => ops.concat([]), /at least one operand/],
  'squeezing a size': [() => x23.squeeze(0), /axis 0 of \[2, 3\] has the size 2, not 1/],

  'float indices': [() => x3.gather(x3), /gather: indices must be integers, got f32; cast to i32/],
  'takeAlong of other rows': [() => x23.takeAlong(arg([3, 1], 'i32')), /must have the shape of the operand \[2, 3\] outside axis 1/],
  'scatterAdd of misaligned updates': [
    () => ops.scatterAdd(i3, arg([2, 4]), { size: 5 }),
    /updates \[2, 4\] must have the axes of the indices \[3\]/,
  ],
  'inner sizes of matmul': [() => x23.matmul(x23), /inner sizes differ: 3 of a \[2, 3\] against 2 of b \[2, 3\]/],
  'inner sizes of a transposed matmul': [
    () => x23.matmul(x23, { transA: true, transB: true }),
    /2 of a \[2, 3\] \(transposed\) against 3 of b/,
  ],
  'matmul of a scalar': [() => arg([]).matmul(x23), /use mul for scalars/],
  'an alpha that is NaN': [() => x23.matmul(arg([3, 2]), { alpha: Number.NaN }), /alpha must be a finite number, got NaN/],
  'a kernel of other channels': [() => ops.conv1d(arg([1, 5, 4]), arg([4, 3, 2])), /does not fit the 4 channels/],
  'a kernel longer than the sequence': [() => ops.conv1d(arg([1, 2, 4]), arg([4, 1, 5])), /the kernel spans 5 steps/],
  'einsum without an arrow': [() => ops.einsum('ij,jk', x23, x23), /is not of the form/],
  'einsum of other ranks': [() => ops.einsum('ijk->k', x23), /'ijk' names 3 axes of an operand of shape \[2, 3\]/],
  'einsum of unequal sizes': [() => ops.einsum('ij,jk->ik', x23, x23), /'j' is 3 in one place and 2 in another/],
  'einsum with a letter from nowhere': [() => ops.einsum('ij->ik', x23), /letter 'k' is in no operand/],

  'a norm weight of another size': [() => ops.rmsNorm(x23, arg([2])), /rmsNorm: weight must be \[D\] for x \[2, 3\] = \[3\], got \[2\]/],
  'a negative eps': [() => ops.layerNorm(x23, x3, x3, { eps: -1 }), /eps must not be negative/],
  'an odd head in rotary': [() => ops.applyRotary(arg([2, 3]), arg([2, 1]), arg([2, 1])), /even, fixed d/],
  'rotary tables of another head': [() => ops.applyRotary(arg([2, 4]), arg([2, 4]), arg([2, 2])), /cos must be .* d\/2 = 2/],
  'heads that do not divide': [
    () => apply('attention', [arg([1, 3, 4, 8]), arg([1, 2, 4, 8]), arg([1, 2, 4, 8])], attention),
    /3 query heads must be a fixed multiple of 2 key\/value heads/,
  ],
  'keys of another size': [
    () => ops.scaledDotProductAttention(arg([1, 2, 4, 8]), arg([1, 2, 4, 6]), arg([1, 2, 4, 6])),
    /k must be \[B, Hkv, Tk, d\] with q \[1, 2, 4, 8\] = \[1, 2, 4, 8\], got \[1, 2, 4, 6\]/,
  ],
  'a bias that does not broadcast': [
    () => ops.scaledDotProductAttention(arg([1, 2, 4, 8]), arg([1, 2, 5, 8]), arg([1, 2, 5, 8]), { bias: arg([4, 4]) }),
    /bias \[4, 4\] does not broadcast to \[1, 2, 4, 5\]/,
  ],
  'a window without causal': [
    () => ops.scaledDotProductAttention(arg([1, 2, 4, 8]), arg([1, 2, 4, 8]), arg([1, 2, 4, 8]), { window: 2 }),
    /a window needs causal: true/,
  ],
  'targets of other rows': [() => ops.crossEntropy(x23, i3), /targets \[3\] must have the leading axes of \[2, 3\]/],
  'float targets': [() => ops.crossEntropy(x23, arg([2])), /indices must be integers, got f32/],
  'a weight of another width': [
    () => ops.linearCrossEntropy(x23, arg([7, 4]), arg([2], 'i32')),
    /w must be \[V, D\] for x \[2, 3\] = \[7, 3\]/,
  ],
  'a packed weight of another size': [
    () => ops.quantMatmul(arg([2, 64]), { packed: arg([8, 2, 32], 'u8'), scales: arg([16]), bits: 4, blockSize: 32 }),
    /packed must be \[N, K\/blockSize, blockSize\*bits\/8\] = \[8, 2, 16\], got \[8, 2, 32\]/,
  ],
  'a block size that does not divide K': [
    () => ops.quantMatmul(arg([2, 48]), { packed: arg([8, 2, 16], 'u8'), scales: arg([16]), bits: 4, blockSize: 32 }),
    /must be a multiple of blockSize 32/,
  ],
  'a key of another dtype': [() => apply('threefry', [arg([2], 'i32')], { shape: [3] }), /threefry: the key must be u32, got i32/],
  'a key of another shape': [() => apply('threefry', [arg([3], 'u32')], { shape: [3] }), /must be two words = \[2\], got \[3\]/],

  'a scan without xs': [() => ops.scan((c: Tensor) => [c, c], { init: x3, xs: {} }), /needs at least one xs/],
  'a scan of unequal lengths': [
    () => ops.scan((c: Tensor, _x: Tensor[]) => [c, null], { init: x3, xs: [arg([4, 3]), arg([5, 3])] }),
    /xs 1 is f32\[5, 3\], but the leading axis of xs 0 is 4/,
  ],
  'a carry that changes shape': [
    () => ops.scan((c: Tensor, x: Tensor) => [c.mul(x), c], { init: x3, xs: arg([4, 2, 3]) }),
    /carry 0 returned by the body is f32\[2, 3\] but must be f32\[3\]/,
  ],
  'a carry of another structure': [
    () => ops.scan((c: { h: Tensor }, _x: Tensor) => [{ g: c.h } as never, null], { init: { h: x3 }, xs: arg([4, 3]) }),
    /the body's carry has the structure \{"g":\*\}, but init has \{"h":\*\}/,
  ],
  'a number as a carry': [
    () => ops.scan((c: number, _x: Tensor) => [c, null], { init: 0, xs: x3 }),
    /init must be a Tensor, got number; wrap it/,
  ],
  'a call with a wrong argument': [
    () => makeNode('call', [x23], { body: new Graph([x3], [x3]), label: 'layer', concurrent: false }),
    /^call layer: argument 0 is f32\[2, 3\] but must be f32\[3\]/,
  ],
};

describe('bad input', () => {
  it.each(Object.entries(cases))('%s', (_name, [f, expected]) => {
    const message = messageOf(f);
    expect(message).toMatch(expected);
    expect(message).toMatch(/\n {4}at .*errors\.test\.ts:\d+:\d+$/);
  });

  it("names the caller's line", () => {
    const here = Number(/:(\d+):\d+\)?$/.exec((new Error('here').stack ?? '').split('\n')[1] ?? '')?.[1]);
    expect(messageOf(() => arg([2]).add(arg([3])))).toContain(`errors.test.ts:${here + 1}:`);
  });

  it('refuses storage dtypes wherever there is arithmetic', () => {
    for (const dtype of ['f16', 'bf16'] as const)
      for (const f of [ops.add, ops.sub, ops.mul, ops.div, ops.maximum, ops.lt, ops.pow] as const)
        expect(messageOf(() => f(arg([2], dtype), arg([2], dtype)))).toMatch(/storage type.*cast to f32/);
  });

  it('lets every dtype move', () => {
    for (const dtype of dtypes) {
      const x = arg([2, 3], dtype);
      expect(
        x
          .transpose()
          .reshape([-1])
          .slice([[1, 5, 2]]).dtype,
      ).toBe(dtype);
      expect(ops.concat([x, x], 0).gather(array([3, 0], { dtype: 'i32' })).shape).toEqual([2, 3]);
      expect(ops.where(arg([2, 1], 'bool'), x, x).dtype).toBe(dtype);
    }
  });
});
