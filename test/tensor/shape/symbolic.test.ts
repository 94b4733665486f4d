import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dimSub, evalShape, type Shape, shapeStr, sym } from '../../../src/tensor/dim.js';
import { inputTensor, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ops from '../../../src/tensor/ops/index.js';

const [B, S, P] = [sym('B'), sym('S'), sym('P')];
const arg = (shape: Shape): Tensor => inputTensor('x', shape, 'f32');
const str = (t: Tensor): string => shapeStr(t.shape);

describe('symbolic sizes', () => {
  it('pass through the operations by algebra', () => {
    const x = arg([B, S, 8]);
    expect(str(x.add(arg([S, 1])))).toBe('[B, S, 8]');
    expect(str(x.reshape([-1, 8]))).toBe('[B*S, 8]');
    expect(str(x.reshape([B, -1, 2, 4]))).toBe('[B, S, 2, 4]');
    expect(str(x.flatten(1))).toBe('[B, 8*S]');
    expect(str(ops.concat([arg([P, 4]), arg([S, 4]), arg([1, 4])], 0))).toBe('[1+P+S, 4]');
    expect(str(x.slice({ 1: [1] }))).toBe('[B, -1+S, 8]');
    expect(str(x.slice({ 1: [null, null, -1] }))).toBe('[B, S, 8]');
    expect(str(x.slice({ 1: [-3, null] }))).toBe('[B, 3, 8]');
    expect(str(x.at(-1, 1))).toBe('[B, 8]');
    expect(str(x.repeat(3, 1))).toBe('[B, 3*S, 8]');
    expect(str(x.matmul(arg([8, 5])))).toBe('[B, S, 5]');
    expect(str(ops.einsum('bsd,btd->bst', x, arg([B, P, 8])))).toBe('[B, S, P]');
    expect(str(ops.causalMask(S, P))).toBe('[S, P]');
    expect(str(ops.oneHot(inputTensor('i', [B], 'i32'), 7))).toBe('[B, 7]');
    expect(str(ops.conv1d(x, arg([8, 1, 3]), { padding: [2, 0] }))).toBe('[B, S, 8]');
    expect(str(ops.scaledDotProductAttention(arg([B, 4, S, 8]), arg([B, 2, P, 8]), arg([B, 2, P, 6])))).toBe('[B, 4, S, 6]');
  });

  it('of a stepped slice agree with counting, for any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 6 }), (step, offset, b) => {
        const length = ops.concat([arg([B]).repeat(step, 0), arg([offset])], 0).slice([[0, null, step]]).shape;
        const size = step * b + offset;
        expect(evalShape(length, new Map([['B', b]]))).toEqual([
          Array.from({ length: size }, (_, i) => i).filter((i) => i % step === 0).length,
        ]);
      }),
    );
  });

  it('split exactly', () => {
    expect(arg([B, 6]).reshape([-1]).split(3, 0).map(str)).toEqual(['[2*B]', '[2*B]', '[2*B]']);
    expect(
      arg([S])
        .split([1, dimSub(S, 1)])
        .map(str),
    ).toEqual(['[1]', '[-1+S]']);
  });
});

describe('results of several outputs', () => {
  it('have the documented shapes and dtypes', () => {
    const specs = (outs: readonly Tensor[]): string[] => outs.map((t) => `${t.dtype}${str(t)}`);
    const x = arg([B, 8]);
    expect(specs(makeNode('topK', [x], { axis: 1, k: 3, largest: true }).outs)).toEqual(['f32[B, 3]', 'i32[B, 3]']);
    expect(specs(makeNode('rmsNorm', [x, arg([8])], { eps: 1e-5 }).outs)).toEqual(['f32[B, 8]', 'f32[B, 1]']);
    expect(specs(makeNode('layerNorm', [x, arg([8]), arg([8])], { eps: 1e-5 }).outs)).toEqual(['f32[B, 8]', 'f32[B, 1]', 'f32[B, 1]']);
    const ids = inputTensor('i', [B], 'i32');
    expect(specs(makeNode('linearCrossEntropyGrad', [x, arg([9, 8]), ids, arg([B])], {}).outs)).toEqual(['f32[B, 8]', 'f32[9, 8]']);
    const [q, k] = [arg([B, 4, S, 8]), arg([B, 2, S, 8])];
    const attrs = { scale: 1, causal: true, window: 0, softcap: 0 };
    expect(specs(makeNode('attentionGrad', [q, k, k, q, q, arg([S, S])], attrs).outs)).toEqual([
      'f32[B, 4, S, 8]',
      'f32[B, 2, S, 8]',
      'f32[B, 2, S, 8]',
      'f32[S, S]',
    ]);
    const cached = ops.cachedAttention(
      { q: arg([B, S, 32]), k: arg([B, S, 16]), v: arg([B, S, 16]), pastK: arg([B, 2, 64, 8]), pastV: arg([B, 2, 64, 8]), length: ids },
      { heads: 4, kvHeads: 2 },
    );
    expect(specs([cached.out, cached.pastK, cached.pastV])).toEqual(['f32[B, S, 32]', 'f32[B, 2, 64, 8]', 'f32[B, 2, 64, 8]']);
  });
});
