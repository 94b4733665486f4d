import { encode, NDArray } from '../../../src/tensor/array.js';
import type { DType } from '../../../src/tensor/dtype.js';
import { apply, Graph, inputTensor, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import type { PrimName } from '../../../src/tensor/prims.js';
import type { Draw } from './draw.js';

/** Builds an example of a primitive and gives its outputs; 'expanded' where the primitive never reaches the lowering. */
export type Case = ((d: Draw) => readonly Tensor[]) | 'expanded';

const floats: readonly DType[] = ['f32'];
const signed: readonly DType[] = ['f32', 'i32', 'i64'];
const numeric: readonly DType[] = [...signed, 'u32'];
const storable: readonly DType[] = [...numeric, 'f16', 'u8', 'bool'];
const bools: readonly DType[] = ['bool'];

const range = (dtype: DType): [number, number] => (dtype === 'bool' ? [0, 1] : dtype === 'u32' || dtype === 'u8' ? [0, 9] : [-4, 4]);

const unary =
  (op: PrimName, dtypes: readonly DType[], min?: number, max?: number): Case =>
  (d) => {
    const dtype = d.pick(dtypes);
    const [low, high] = range(dtype);
    return [apply(op, [d.input(dtype, d.shape(0, 4), min ?? low, max ?? high)], {})];
  };

const binary =
  (op: PrimName, dtypes: readonly DType[], second?: (d: Draw, dtype: DType, shape: readonly number[]) => NDArray): Case =>
  (d) => {
    const dtype = d.pick(dtypes);
    const [low, high] = range(dtype);
    const shape = d.shape(0, 4);
    const [a, b] = d.bool() ? [shape, d.below(shape)] : [d.below(shape), shape];
    const y = second ? d.given(second(d, dtype, b)) : d.input(dtype, b, low, high);
    return [apply(op, [d.input(dtype, a, low, high), y], {})];
  };

/** Divisors of both signs, away from zero and from where quotients are near integers. */
const divisor = (d: Draw, dtype: DType, shape: readonly number[]): NDArray => {
  const choices = dtype === 'f32' ? [-1.3, 0.7, 2.1] : dtype === 'u32' ? [1, 2, 3] : [-3, -2, 2, 3];
  const n = shape.reduce((a, b) => a * b, 1);
  return new NDArray(
    dtype,
    shape,
    encode(
      dtype,
      Array.from({ length: n }, () => d.pick(choices)),
    ),
  );
};

const axesOf = (d: Draw, rank: number): number[] => Array.from({ length: rank }, (_, i) => i).filter(() => d.bool());

const reduction =
  (op: 'sum' | 'reduceMax' | 'reduceMin' | 'reduceProd'): Case =>
  (d) => {
    const dtype = d.pick(signed);
    const hasIdentity = op === 'sum' || op === 'reduceProd';
    const shape = d.shape(0, 4, () => (hasIdentity ? d.size() : d.int(1, 5)));
    return [apply(op, [d.input(dtype, shape)], { axes: axesOf(d, shape.length), keepDims: d.bool() })];
  };

/** Distinct values would hide how ties are broken, so values repeat. */
const tied = (d: Draw, dtype: DType, shape: readonly number[]): Tensor => {
  const whole = d.array('i32', shape, -2, 2);
  return d.given(new NDArray(dtype, shape, encode(dtype, whole.toNumbers())));
};

const matmul: Case = (d) => {
  const [m, k, n] = [d.size(), d.size(), d.size()];
  const batch = d.shape(0, 3);
  const [transA, transB] = [d.bool(), d.bool()];
  const a = d.input('f32', [...d.below(batch), ...(transA ? [k, m] : [m, k])]);
  const b = d.input('f32', [...(d.bool() ? batch : d.below(batch)), ...(transB ? [n, k] : [k, n])]);
  return [ir.matmul(a, b, { transA, transB, alpha: d.pick([1, -0.5]) })];
};

const quantMatmul: Case = (d) => {
  const bits = d.pick([4, 8] as const);
  const blockSize = d.pick([16, 32]);
  const blocks = d.int(1, 3);
  const outFeatures = d.int(1, 5);
  const x = d.input('f32', [...d.shape(0, 2, () => d.int(1, 4)), blocks * blockSize], -1, 1);
  const constant = (value: NDArray): Tensor => ir.constantOf(value);
  const packed = constant(d.array('u8', [outFeatures, blocks, (blockSize * bits) / 8], 0, 255));
  const scales = constant(d.array('f32', [outFeatures * blocks], 0.001, 0.005));
  const zeros = d.bool() ? [constant(d.array('u8', [outFeatures * Math.ceil((blocks * bits) / 8)], 0, 255))] : [];
  return [apply('quantMatmul', [x, packed, scales, ...zeros], { bits, blockSize, outFeatures })];
};

const slice: Case = (d) => {
  const shape = d.shape(0, 4);
  const starts: number[] = [];
  const limits: number[] = [];
  const steps: number[] = [];
  for (const n of shape) {
    const low = d.int(0, n);
    const high = d.int(low, n);
    const down = d.bool() && n > 0;
    const step = d.int(1, 3);
    starts.push(down ? high - 1 : low);
    limits.push(down ? low - 1 : high);
    steps.push(down ? -step : step);
  }
  return [apply('slice', [d.input(d.pick(storable), shape, 0, 9)], { starts, limits, steps })];
};

const gather: Case = (d) => {
  const shape = d.shape(1, 3, () => d.int(1, 4));
  const axis = d.int(0, shape.length - 1);
  const indices = d.input(d.pick(['i32', 'i64']), d.shape(0, 2), 0, (shape[axis] as number) - 1);
  return [ir.gather(d.input(d.pick(storable), shape, 0, 9), indices, axis)];
};

const scatterAdd: Case = (d) => {
  const size = d.int(1, 4);
  const rank = d.int(1, 3);
  const axis = d.int(0, rank - 1);
  const indices = d.input(d.pick(['i32', 'i64']), d.shape(0, 2), 0, size - 1);
  const around = Array.from({ length: rank - 1 }, () => d.size());
  const updates = d.input(d.pick(signed), [...around.slice(0, axis), ...(indices.shape as number[]), ...around.slice(axis)]);
  return [ir.scatterAdd(indices, updates, axis, size)];
};

const takeAlong: Case = (d) => {
  const shape = d.shape(1, 3, () => d.int(1, 4));
  const axis = d.int(0, shape.length - 1);
  const along = shape.map((n, i) => (i === axis ? d.size() : n));
  return [
    ir.takeAlong(d.input(d.pick(storable), shape, 0, 9), d.input(d.pick(['i32', 'i64']), along, 0, (shape[axis] as number) - 1), axis),
  ];
};

const scatterAlong: Case = (d) => {
  const mode = d.pick(['set', 'add'] as const);
  const shape = d.shape(1, 3, () => d.int(1, 4));
  const axis = d.int(0, shape.length - 1);
  const n = shape[axis] as number;
  const dtype = d.pick(mode === 'add' ? signed : storable);
  const count = d.int(0, n);
  const along = shape.map((k, i) => (i === axis ? count : k));
  // 'set' needs distinct indices: a rotation of 0 .. n-1
  const start = d.int(0, n - 1);
  const distinct = new NDArray(
    'i32',
    along,
    Int32Array.from({ length: along.reduce((a, b) => a * b, 1) }, (_, i) => {
      const inner = along.slice(axis + 1).reduce((a, b) => a * b, 1);
      return ((Math.floor(i / inner) % count) + start) % n;
    }),
  );
  const indices = mode === 'set' ? d.given(distinct) : d.input('i64', along, 0, n - 1);
  return [ir.scatterAlong(d.input(dtype, shape, 0, 9), indices, d.input(dtype, along, 0, 9), axis, mode)];
};

/** body(scale; sum, x) = (sum + scale*x, [sum*x, constant + x]) over T steps. */
const scan: Case = (d) => {
  const shape = d.shape(0, 2, () => d.int(1, 3));
  const steps = d.int(1, 5);
  const [scale, carry, x] = ['scale', 'carry', 'x'].map((name) => inputTensor(name, shape, 'f32')) as [Tensor, Tensor, Tensor];
  const next = ir.add(carry, ir.mul(scale, x));
  const body = new Graph([scale, carry, x], [next, ir.mul(carry, x), ir.add(ir.scalar(2), x), carry, x, scale]);
  const inputs = [d.input('f32', shape, -1, 1), d.input('f32', shape), d.input('f32', [steps, ...shape])];
  return makeNode('scan', inputs, { body, numConsts: 1, numCarries: 1, reverse: d.bool() }).outs;
};

const norm = (d: Draw): { x: Tensor; vector: () => Tensor } => {
  const shape = [...d.shape(0, 2), d.int(1, 9)];
  return { x: d.input('f32', shape), vector: () => d.input('f32', shape.slice(-1)) };
};

/** An example of every primitive. */
export const cases: { readonly [K in PrimName]: Case } = {
  input: (d) => [d.input(d.pick(storable), d.shape(0, 3), 0, 9)],
  constant: (d) => [ir.constantOf(d.array(d.pick(storable), d.shape(0, 3), 0, 1))],
  iota: (d) => {
    const shape = d.shape(1, 3, () => d.pick([1, 2, 5, 20]));
    return [ir.iota(shape, d.int(0, shape.length - 1), d.pick(['i32', 'f32']))];
  },
  dimValue: (d) => [apply('dimValue', [], { dim: d.int(0, 9), dtype: d.pick(['i32', 'f32']) })],
  neg: unary('neg', signed),
  exp: unary('exp', floats),
  log: unary('log', floats, 0.01, 5),
  sqrt: unary('sqrt', floats, 0, 5),
  recip: unary('recip', floats, 0.1, 5),
  abs: unary('abs', numeric),
  sign: unary('sign', numeric),
  floor: unary('floor', floats),
  ceil: unary('ceil', floats),
  round: (d) => {
    const halves = d.array('i32', d.shape(0, 3), -9, 9);
    return [apply('round', [ir.mul(ir.cast(d.given(halves), 'f32'), ir.scalar(0.5))], {})];
  },
  sin: unary('sin', floats),
  cos: unary('cos', floats),
  tanh: unary('tanh', floats),
  sigmoid: unary('sigmoid', floats),
  erf: unary('erf', floats),
  not: unary('not', bools),
  cast: (d) => {
    const from = d.pick(storable);
    const to = d.pick(storable);
    const unsigned = to === 'u32' || to === 'u8';
    return [apply('cast', [d.input(from, d.shape(0, 3), unsigned || from === 'bool' ? 0 : range(from)[0], range(from)[1])], { dtype: to })];
  },
  stopGradient: unary('stopGradient', storable, 0, 1),
  add: binary('add', numeric),
  sub: binary('sub', numeric),
  mul: binary('mul', numeric),
  div: binary('div', numeric, divisor),
  pow: (d) => {
    const shape = d.shape(0, 3);
    const [base, exponent] = [d.input('f32', shape, 0.1, 3), d.input('f32', d.below(shape), -2, 2)];
    return [apply('pow', [base, exponent], {})];
  },
  max: binary('max', numeric),
  min: binary('min', numeric),
  mod: binary('mod', numeric, divisor),
  and: binary('and', bools),
  or: binary('or', bools),
  xor: binary('xor', bools),
  eq: binary('eq', [...numeric, 'bool', 'u8']),
  lt: binary('lt', numeric),
  le: binary('le', numeric),
  where: (d) => {
    const shape = d.shape(0, 4);
    const dtype = d.pick(storable);
    return [ir.where(d.input('bool', d.below(shape), 0, 1), d.input(dtype, d.below(shape), 0, 9), d.input(dtype, shape, 0, 9))];
  },
  sum: (d) => {
    if (d.bool()) return (reduction('sum') as Exclude<Case, 'expanded'>)(d);
    const shape = d.shape(1, 3);
    const x = d.input('f32', shape);
    const axes = shape.map((_, i) => i);
    return [apply('sum', [ir.mul(x, x)], { axes: d.bool() ? axes : axesOf(d, shape.length), keepDims: d.bool() })];
  },
  reduceMax: reduction('reduceMax'),
  reduceMin: reduction('reduceMin'),
  reduceProd: reduction('reduceProd'),
  argmax: (d) => {
    const shape = d.shape(1, 3, () => d.int(1, 6));
    return [apply('argmax', [tied(d, d.pick(signed), shape)], { axis: d.int(0, shape.length - 1), keepDims: d.bool() })];
  },
  cumsum: (d) => {
    const shape = d.shape(1, 3);
    const attrs = { axis: d.int(0, shape.length - 1), exclusive: d.bool(), reverse: d.bool() };
    return [apply('cumsum', [d.input(d.pick(signed), shape)], attrs)];
  },
  topK: (d) => {
    const shape = d.shape(1, 3, () => d.int(1, 7));
    const axis = d.int(0, shape.length - 1);
    return makeNode('topK', [tied(d, d.pick(signed), shape)], { axis, k: d.int(0, shape[axis] as number), largest: d.bool() }).outs;
  },
  reshape: (d) => {
    const shape = d.shape(0, 4);
    const x = d.input(d.pick(storable), shape, 0, 9);
    const size = shape.reduce((a, b) => a * b, 1);
    const options = [
      [size],
      [1, size],
      shape.toReversed(),
      [...shape, 1],
      ...(size === 0
        ? [
            [0, 3],
            [2, 0, 2],
          ]
        : []),
    ];
    return [apply('reshape', [x], { shape: d.pick(options) })];
  },
  transpose: (d) => {
    const shape = d.shape(0, 4);
    const perm: number[] = [];
    for (const i of shape.keys()) perm.splice(d.int(0, i), 0, i);
    return [ir.transpose(d.input(d.pick(storable), shape, 0, 9), perm)];
  },
  broadcastTo: (d) => {
    const shape = d.shape(0, 4);
    return [apply('broadcastTo', [d.input(d.pick(storable), d.below(shape), 0, 9)], { shape })];
  },
  slice,
  pad: (d) => {
    const shape = d.shape(0, 3);
    const widths = (): number[] => shape.map(() => d.int(0, 2));
    return [apply('pad', [d.input(d.pick(storable), shape, 0, 9)], { low: widths(), high: widths(), value: d.pick([0, 1]) })];
  },
  concat: (d) => {
    const shape = d.shape(1, 3);
    const axis = d.int(0, shape.length - 1);
    const dtype = d.pick(storable);
    const parts = Array.from({ length: d.int(1, 3) }, () => d.input(dtype, shape.with(axis, d.size()), 0, 9));
    return [apply('concat', parts, { axis })];
  },
  gather,
  scatterAdd,
  takeAlong,
  scatterAlong,
  matmul,
  conv1d: (d) => {
    const groups = d.int(1, 3);
    const [perGroup, outPerGroup, kernel, dilation] = [d.int(1, 2), d.int(1, 2), d.int(1, 3), d.int(1, 2)];
    const steps = d.int(dilation * (kernel - 1) + 1, 9);
    const x = d.input('f32', [d.int(1, 3), groups * perGroup, steps]);
    const w = d.input('f32', [groups * outPerGroup, perGroup, kernel]);
    return [apply('conv1d', [x, w], { groups, padLow: d.int(0, 3), padHigh: d.int(0, 3), dilation })];
  },
  quantMatmul,
  threefry: (d) => [apply('threefry', [d.input('u32', [2], 0, 2 ** 32 - 1)], { shape: d.shape(0, 3) })],
  scan,
  call: 'expanded',
  customVjp: (d) => {
    const [x, y] = [d.input('f32', [2]), d.input('f32', [3])];
    return makeNode('customVjp', [x, ir.neg(x), ir.exp(y)], { numArgs: 1, numOuts: 2, backward: (c) => [c[0] ?? null] }).outs;
  },
  softmax: (d) => {
    const shape = d.shape(1, 4);
    return [ir.softmax(d.input('f32', shape), d.int(0, shape.length - 1))];
  },
  logSoftmax: (d) => {
    const shape = d.shape(1, 4);
    return [apply('logSoftmax', [d.input('f32', shape)], { axis: d.int(0, shape.length - 1) })];
  },
  rmsNorm: (d) => {
    const { x, vector } = norm(d);
    return makeNode('rmsNorm', [x, vector()], { eps: 1e-5 }).outs;
  },
  layerNorm: (d) => {
    const { x, vector } = norm(d);
    return makeNode('layerNorm', [x, vector(), vector()], { eps: 1e-5 }).outs;
  },
  silu: 'expanded',
  gelu: (d) => [apply('gelu', [d.input('f32', d.shape(0, 3))], { approximate: d.pick(['none', 'tanh']) })],
  rotary: (d) => {
    const [t, half] = [d.int(1, 5), d.int(1, 9)];
    const x = d.input('f32', [d.int(1, 3), d.int(1, 3), t, 2 * half]);
    const table = (): Tensor => d.input('f32', d.bool() ? [t, half] : [1, 1, t, half], -1, 1);
    return [apply('rotary', [x, table(), table()], { interleaved: d.bool() })];
  },
  attention: 'expanded',
  attentionGrad: 'expanded',
  cachedAttention: (d) => {
    const [batch, steps] = d.bool() ? [1, d.int(1, 4)] : [d.int(1, 3), 1];
    const [kvHeads, group, size, capacity] = [d.int(1, 2), d.int(1, 3), 8 * d.int(1, 2), 9];
    const heads = kvHeads * group;
    const rows = (n: number): Tensor => d.input('f32', [batch, steps, n * size]);
    const qkv = [rows(heads), rows(kvHeads), rows(kvHeads)];
    const cache = (): Tensor => d.input('f32', [batch, kvHeads, capacity, size]);
    const length = d.input('i32', [batch], 0, capacity - steps);
    const [out, ...caches] = makeNode('cachedAttention', [...qkv, cache(), cache(), length], { heads, kvHeads, scale: 0.3 }).outs;
    // rows after the new tokens are only kept where the outputs share memory with the inputs
    const row = ir.iota([1, 1, capacity, 1], 2);
    const valid = ir.lt(row, ir.add(ir.reshape(length, [batch, 1, 1, 1]), ir.scalar(steps, 'i32')));
    return [out as Tensor, ...caches.map((t) => ir.where(valid, t, ir.scalar(0)))];
  },
  crossEntropy: 'expanded',
  linearCrossEntropy: 'expanded',
  linearCrossEntropyGrad: 'expanded',
};
