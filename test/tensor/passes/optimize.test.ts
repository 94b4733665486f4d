import { describe, expect, it } from 'vitest';
import { array, NDArray } from '../../../src/tensor/array.js';
import { dimMul, sym } from '../../../src/tensor/dim.js';
import { apply, Graph, inputTensor, makeNode, type Tensor, topoSort } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { attrsKey, graphKey } from '../../../src/tensor/passes/key.js';
import { optimize } from '../../../src/tensor/passes/optimize.js';
import type { PrimName } from '../../../src/tensor/prims.js';
import { evaluate, refArray } from '../../../src/tensor/reference/index.js';
import { arg } from '../ops/support.js';

const never = (): boolean => false;
const simplified = (t: Tensor): Tensor => optimize([t], 'cpu', never)[0] as Tensor;
const opsOf = (t: Tensor): string[] =>
  topoSort([simplified(t)])
    .map((n) => n.op)
    .filter((op) => op !== 'input' && op !== 'constant');

/** [what, graph over x [2, 3], y [2, 3] and row [3], operations that remain] */
const rules: readonly [string, (x: Tensor, y: Tensor, row: Tensor) => Tensor, readonly PrimName[]][] = [
  ['adding zero', (x) => ops.add(0, x).add(0).sub(0), []],
  ['adding a row of zeros', (x) => x.add(ops.zeros([3])), []],
  ['adding zeros that widen', (_x, _y, row) => row.add(ops.zeros([2, 3])), ['broadcastTo', 'add']],
  ['multiplying with one', (x) => ops.mul(1, x).mul(1).div(1), []],
  ['subtracting from zero stays', (x) => ops.sub(0, x), ['sub']],
  ['dividing one stays', (x) => ops.div(1, x), ['div']],
  ['negating twice', (x) => x.neg().neg(), []],
  ['negating a tanh', (x) => x.tanh().neg(), ['tanh', 'neg']],
  ['powers', (x) => x.pow(1).pow(2), ['mul']],
  ['roots', (x) => x.pow(0.5), ['sqrt']],
  ['other powers', (x) => x.pow(3), ['pow']],
  ['reshapes in a row', (x) => x.reshape([6]).reshape([3, 2]).reshape([1, 6]), ['reshape']],
  ['a reshape back', (x) => x.reshape([6]).reshape([2, 3]), []],
  ['a transpose of nothing', (x) => ir.transpose(x, [0, 1]), []],
  ['a whole slice', (x) => x.slice({ 0: [0, 2], 1: [0, 3] }), []],
  ['a reversed slice stays', (x) => x.flip(0), ['slice']],
  ['no padding', (x) => x.pad({ 0: [0, 0] }, 5), []],
  ['one operand to join', (x) => apply('concat', [x], { axis: 0 }), []],
  ['a cast to its own dtype', (x) => apply('cast', [x], { dtype: 'f32' }), []],
  ['a cast there and back stays', (x) => x.cast('i32').cast('f32'), ['cast', 'cast']],
  ['a stop of gradients', (x) => ops.stopGradient(x).tanh(), ['tanh']],
  ['a broadcast that the other operand implies', (x, _y, row) => x.mul(row.broadcastTo([2, 3])), ['mul']],
  [
    'broadcasts of both',
    (_x, _y, row) => row.broadcastTo([2, 3]).add(row.reshape([1, 3]).broadcastTo([2, 3])),
    ['reshape', 'broadcastTo', 'add'],
  ],
  ['transposes before products', (x, y) => x.transpose().matmul(y), ['matmul']],
  ['both transposes', (x, y) => ir.matmul(x.transpose(), y.transpose(), { transA: true }).sum(), ['matmul', 'sum']],
  ['a factor after a product', (x, y) => x.matmul(y, { transB: true }).mul(-2), ['matmul']],
  ['constants', (x) => x.add(ops.exp(ops.scalar(2)).mul(3).sqrt()), ['add']],
  ['equal expressions', (x, y) => x.mul(y).tanh().add(x.mul(y).tanh()), ['mul', 'tanh', 'add']],
  ['what is not read', (x) => ops.topK(x, 2).values.sum(), ['topK', 'sum']],
];

describe('optimize', () => {
  const point = (shape: number[], f: (i: number) => number) =>
    refArray(
      'f32',
      shape,
      Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => f(i)),
    );
  const values = [point([2, 3], (i) => 0.3 + i), point([2, 3], (i) => 1.7 - i / 3), point([3], (i) => 2 + i)];

  it.each(rules)('%s', (_, build, left) => {
    const inputs = [arg([2, 3]), arg([2, 3]), arg([3])] as const;
    const result = build(...inputs);
    const better = simplified(result);
    expect([better.dtype, better.shape]).toEqual([result.dtype, result.shape]);
    const [before, after] = evaluate(new Graph(inputs, [result, better]), values);
    after?.data.forEach((v, i) => {
      expect(v).toBeCloseTo(before?.data[i] as number, 6);
    });
    expect([...opsOf(result)].sort()).toEqual([...left].sort());
  });

  it('does not compute a product again for a factor where the plain one is needed', () => {
    const product = arg([2, 3]).matmul(arg([3, 4]));
    const outs = optimize([product.mul(2), product], 'cpu', never);
    expect(topoSort(outs).filter((n) => n.op === 'matmul').length).toBe(1);
  });

  it('keeps symbolic sizes apart', () => {
    const x = inputTensor('x', [sym('B'), 4], 'f32');
    expect(
      opsOf(
        x
          .reshape([dimMul(2, sym('B')), 2])
          .reshape([sym('B'), 4])
          .add(ops.zeros([4])),
      ),
    ).toEqual([]);
    expect(opsOf(x.slice({ 0: [0, sym('B')] }))).toEqual([]);
    expect(opsOf(x.mean())).toContain('dimValue');
  });

  it('keeps no gradient rule, and no constant of many elements', () => {
    expect(opsOf(ops.log1p(arg([2])))).not.toContain('customVjp');
    expect(opsOf(ops.zeros([1000, 1000]).add(arg([]).exp()))).toEqual(['broadcastTo', 'exp', 'add']);
  });
});

describe('keys of nodes', () => {
  const x = arg([4, 4]);
  const scanOf = (reverse: boolean, factor: number): Tensor =>
    ops.scan((h: Tensor, v: Tensor) => [h.mul(factor).add(v), null], { init: ops.zeros([4]), xs: x, reverse }).carry;
  const attention = { scale: 1, causal: true, window: 0, softcap: 0 };
  /** Applications that differ in one attribute each; for primitives without attributes, nothing. */
  const variants: { readonly [K in PrimName]: readonly (() => Tensor)[] } = {
    input: [],
    constant: [
      () => ops.scalar(0),
      () => ops.scalar(-0),
      () => ops.scalar(0, 'i32'),
      () => ops.constant(array([0])),
      () => ops.constant(array([[0]])),
    ],
    iota: [() => ir.iota([2, 2], 0), () => ir.iota([2, 2], 1), () => ir.iota([2, 2], 0, 'f32'), () => ir.iota([2, 3], 0)],
    dimValue: [() => ops.dimValue(sym('B')), () => ops.dimValue(sym('T')), () => ops.dimValue(dimMul(2, sym('B')))],
    neg: [],
    exp: [],
    log: [],
    sqrt: [],
    recip: [],
    abs: [],
    sign: [],
    floor: [],
    ceil: [],
    round: [],
    sin: [],
    cos: [],
    tanh: [],
    sigmoid: [],
    erf: [],
    not: [],
    cast: [() => x.cast('i32'), () => x.cast('f16')],
    stopGradient: [],
    add: [],
    sub: [],
    mul: [],
    div: [],
    pow: [],
    max: [],
    min: [],
    mod: [],
    and: [],
    or: [],
    xor: [],
    eq: [],
    lt: [],
    le: [],
    where: [],
    sum: [() => x.sum({ axis: 0 }), () => x.sum({ axis: 1 }), () => x.sum({ axis: 0, keepDims: true })],
    reduceMax: [() => x.max({ axis: 0 }), () => x.max({ axis: 1 }), () => x.max({ axis: 0, keepDims: true })],
    reduceMin: [() => x.min({ axis: 0 }), () => x.min({ axis: 1 })],
    reduceProd: [() => x.prod({ axis: 0 }), () => x.prod({ axis: 1 })],
    argmax: [() => x.argmax({ axis: 0 }), () => x.argmax({ axis: 1 })],
    cumsum: [() => x.cumsum({ axis: 0 }), () => x.cumsum(), () => x.cumsum({ exclusive: true }), () => x.cumsum({ reverse: true })],
    topK: [() => x.topK(2).values, () => x.topK(3).values, () => x.topK(2, { axis: 0 }).values, () => x.topK(2, { largest: false }).values],
    reshape: [() => x.reshape([2, 8]), () => x.reshape([8, 2]), () => x.reshape([2, 8, 1])],
    transpose: [() => ir.transpose(x.reshape([2, 2, 4]), [1, 0, 2]), () => ir.transpose(x.reshape([2, 2, 4]), [0, 2, 1])],
    broadcastTo: [() => x.broadcastTo([1, 4, 4]), () => x.broadcastTo([2, 4, 4])],
    slice: [() => x.slice({ 0: [0, 2] }), () => x.slice({ 0: [1, 3] }), () => x.slice({ 0: [0, 3, 2] }), () => x.slice({ 1: [0, 2] })],
    pad: [() => x.pad({ 0: [1, 0] }), () => x.pad({ 0: [0, 1] }), () => x.pad({ 0: [1, 0] }, 2)],
    concat: [() => ops.concat([x, x], 0), () => ops.concat([x, x], 1)],
    gather: [() => x.gather(0, 0), () => x.gather(0, 1)],
    scatterAdd: [
      () => ir.scatterAdd(ops.scalar(0, 'i32'), arg([4]), 0, 4),
      () => ir.scatterAdd(ops.scalar(0, 'i32'), arg([4]), 1, 4),
      () => ir.scatterAdd(ops.scalar(0, 'i32'), arg([4]), 0, 5),
    ],
    takeAlong: [() => x.takeAlong(x.argsort(), 0), () => x.takeAlong(x.argsort(), 1)],
    scatterAlong: [
      () => x.scatterAlong(x.argsort(), x),
      () => x.scatterAlong(x.argsort(), x, { mode: 'add' }),
      () => x.scatterAlong(x.argsort(), x, { axis: 0 }),
    ],
    matmul: [() => x.matmul(x), () => x.matmul(x, { transA: true }), () => x.matmul(x, { transB: true }), () => x.matmul(x, { alpha: 2 })],
    conv1d: [0, 1].flatMap((padLow) =>
      [1, 2].map((dilation) => () => apply('conv1d', [arg([1, 4, 9]), arg([4, 4, 2])], { groups: 1, padLow, padHigh: 0, dilation })),
    ),
    quantMatmul: [() => apply('quantMatmul', [arg([32]), arg([2, 1, 16], 'u8'), arg([2])], { bits: 4, blockSize: 32, outFeatures: 2 })],
    threefry: [() => apply('threefry', [arg([2], 'u32')], { shape: [2] }), () => apply('threefry', [arg([2], 'u32')], { shape: [3] })],
    scan: [() => scanOf(false, 2), () => scanOf(true, 2), () => scanOf(false, 3)],
    call: [() => ops.checkpoint((t: Tensor) => t.sin())(x), () => ops.checkpoint((t: Tensor) => t.cos())(x)],
    customVjp: [
      () => makeNode('customVjp', [x, x, x], { numArgs: 1, numOuts: 1, backward: () => [null] }).out(),
      () => makeNode('customVjp', [x, x, x], { numArgs: 2, numOuts: 1, backward: () => [null, null] }).out(),
    ],
    softmax: [() => x.softmax(0), () => x.softmax(1)],
    logSoftmax: [() => x.logSoftmax(0), () => x.logSoftmax(1)],
    rmsNorm: [() => ops.rmsNorm(x, arg([4]), { eps: 1 }), () => ops.rmsNorm(x, arg([4]), { eps: 2 })],
    layerNorm: [() => ops.layerNorm(x, arg([4]), arg([4]), { eps: 1 }), () => ops.layerNorm(x, arg([4]), arg([4]), { eps: 2 })],
    silu: [],
    gelu: [() => x.gelu(), () => x.gelu({ approximate: 'tanh' })],
    rotary: [false, true].map((interleaved) => () => ops.applyRotary(x, arg([4, 2]), arg([4, 2]), { interleaved })),
    attention: [{}, { scale: 2 }, { causal: false }, { window: 2 }, { softcap: 1 }].map(
      (change) => () => apply('attention', [arg([1, 1, 4, 4]), arg([1, 1, 4, 4]), arg([1, 1, 4, 4])], { ...attention, ...change }),
    ),
    attentionGrad: [{}, { scale: 2 }, { window: 2 }].map(
      (change) => () =>
        makeNode(
          'attentionGrad',
          Array.from({ length: 5 }, () => arg([1, 1, 4, 4])),
          { ...attention, ...change },
        ).out(),
    ),
    cachedAttention: [],
    crossEntropy: [],
    linearCrossEntropy: [],
    linearCrossEntropyGrad: [],
  };

  it('tell applications apart that differ in an attribute, and join those that do not', () => {
    for (const [op, makers] of Object.entries(variants)) {
      const keys = makers.map((make) => attrsKey(make().node));
      expect(new Set(keys).size, `${op}: ${keys.join(' | ')}`).toBe(makers.length);
      expect(
        makers.map((make) => attrsKey(make().node)),
        op,
      ).toEqual(keys);
    }
  });

  it('of graphs do not depend on names or on when nodes were made', () => {
    const build = (first: boolean): string => {
      const [a, b] = [inputTensor(first ? 'a' : 'p', [2], 'f32'), inputTensor(first ? 'b' : 'q', [2], 'f32')];
      return graphKey([a, b], [a.add(b).tanh(), a.mul(2)]);
    };
    expect(build(true)).toBe(build(false));
    const [a, b] = [arg([2]), arg([2])];
    const keys = [
      graphKey([a, b], [a.sub(b)]),
      graphKey([b, a], [a.sub(b)]),
      graphKey([a, b], [a.sub(b), a]),
      graphKey([a, b], [a, a.sub(b)]),
      graphKey([a, b], [a.sub(a)]),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    const big = (): NDArray => new NDArray('f32', [5000], new Float32Array(5000));
    const [p, q] = [big(), big()];
    const keyOf = (c: NDArray): string => graphKey([], [ops.constant(c).sum()]);
    expect(keyOf(p)).toBe(keyOf(p));
    expect(keyOf(p)).not.toBe(keyOf(q));
  });
});
