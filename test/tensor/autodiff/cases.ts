import { apply, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import type { PrimName } from '../../../src/tensor/prims.js';
import type { Draw } from '../onnx/draw.js';
import { countOf, distinct, filled, type GradCase, given, one } from './caseParts.js';
import { structureCases } from './structureCases.js';

const unary =
  (op: PrimName, min = -2, max = 2): GradCase =>
  (d) =>
    one(apply(op, [d.input('f32', d.shape(0, 4), min, max)], {}));

/** At multiples of 1/2 plus 0.15: no integers, halves or zeros. */
const stepwise =
  (op: PrimName): GradCase =>
  (d) =>
    one(apply(op, [given(d, 'f32', d.shape(0, 3), () => d.int(-6, 6) / 2 + 0.15)], {}));

/** Two shapes that broadcast together: either may be the smaller one, or both are. */
function pairOf(d: Draw): [number[], number[]] {
  const shape = d.shape(0, 4);
  const [a, b] = [d.bool() ? shape : d.below(shape), d.bool() ? shape : d.below(shape)];
  return d.bool() ? [a, b] : [b, a];
}

const binary =
  (op: PrimName, a: readonly [number, number] = [-2, 2], b: readonly [number, number] = a): GradCase =>
  (d) => {
    const [left, right] = pairOf(d);
    return one(apply(op, [d.input('f32', left, ...a), d.input('f32', right, ...b)], {}));
  };

/** Operands that are never equal. */
const extremum =
  (op: 'max' | 'min'): GradCase =>
  (d) => {
    const [left, right] = pairOf(d);
    return one(apply(op, [given(d, 'f32', left, () => d.int(-4, 4) / 2), given(d, 'f32', right, () => d.int(-4, 4) / 2 + 0.25)], {}));
  };

const axesOf = (d: Draw, rank: number): number[] => Array.from({ length: rank }, (_, i) => i).filter(() => d.bool());

const reduction =
  (op: 'sum' | 'reduceMax' | 'reduceMin' | 'reduceProd', input: (d: Draw, shape: number[]) => Tensor): GradCase =>
  (d) => {
    const shape = op === 'sum' || op === 'reduceProd' ? d.shape(0, 4) : filled(d, 0, 3);
    return one(apply(op, [input(d, shape)], { axes: axesOf(d, shape.length), keepDims: d.bool() }));
  };

const indicesBelow = (d: Draw, shape: readonly number[], size: number): Tensor => given(d, 'i32', shape, () => d.int(0, size - 1));

const slice: GradCase = (d) => {
  const shape = d.shape(1, 4);
  const [starts, limits, steps]: number[][] = [[], [], []];
  for (const n of shape) {
    const low = d.int(0, n);
    const high = d.int(low, n);
    const down = n > 0 && d.int(0, 2) === 0;
    const step = d.pick([1, 1, 2, 3]);
    starts?.push(down ? high - 1 : low);
    limits?.push(down ? low - 1 : high);
    steps?.push(down ? -step : step);
  }
  return one(apply('slice', [d.input('f32', shape)], { starts: starts ?? [], limits: limits ?? [], steps: steps ?? [] }));
};

const scatterAlong: GradCase = (d) => {
  const mode = d.pick(['set', 'add'] as const);
  const shape = filled(d, 1, 3);
  const axis = d.int(0, shape.length - 1);
  const n = shape[axis] as number;
  const count = d.int(0, n);
  const along = shape.map((k, i) => (i === axis ? count : k));
  const inner = countOf(along.slice(axis + 1));
  const start = d.int(0, n - 1);
  // 'set' needs distinct indices: a rotation of 0 .. n-1
  const indices = mode === 'set' ? given(d, 'i32', along, (i) => ((Math.floor(i / inner) % count) + start) % n) : indicesBelow(d, along, n);
  return one(ir.scatterAlong(d.input('f32', shape), indices, d.input('f32', along), axis, mode));
};

const matmul: GradCase = (d) => {
  const [m, k, n] = [d.size(), d.size(), d.size()];
  const batch = d.shape(0, 2);
  const [transA, transB] = [d.bool(), d.bool()];
  const a = d.input('f32', [...(d.bool() ? batch : d.below(batch)), ...(transA ? [k, m] : [m, k])]);
  const b = d.input('f32', [...(d.int(0, 2) === 0 ? [] : d.below(batch)), ...(transB ? [n, k] : [k, n])]);
  return one(ir.matmul(a, b, { transA, transB, alpha: d.pick([1, -0.5]) }));
};

const conv1d: GradCase = (d) => {
  const groups = d.int(1, 3);
  const [perGroup, outPerGroup, kernel, dilation] = [d.int(1, 2), d.int(1, 2), d.int(1, 3), d.int(1, 2)];
  const reach = dilation * (kernel - 1);
  const [padLow, padHigh] = [d.int(0, 3), d.int(0, 3)];
  const steps = d.int(Math.max(1, reach + 1 - padLow - padHigh), 6);
  const x = d.input('f32', [d.int(1, 2), groups * perGroup, steps]);
  const w = d.input('f32', [groups * outPerGroup, perGroup, kernel]);
  return one(apply('conv1d', [x, w], { groups, padLow, padHigh, dilation }));
};

const quantMatmul: GradCase = (d) => {
  const bits = d.pick([4, 8] as const);
  const blocks = d.int(1, 3);
  const outFeatures = d.int(1, 3);
  // The CPU kernel rounds each block of 16 activations to multiples of its largest / 127: these are such multiples.
  const x = given(d, 'f32', [...filled(d, 0, 2), blocks * 16], (i) => (i % 16 === 0 ? 1 : d.int(-127, 127) / 127));
  const packed = ir.constantOf(d.array('u8', [outFeatures, blocks, 2 * bits], 0, 255));
  const scales = d.input('f32', [outFeatures * blocks], 0.001, 0.005);
  const zeros = d.bool() ? [ir.constantOf(d.array('u8', [outFeatures * Math.ceil((blocks * bits) / 8)], 0, 255))] : [];
  return one(apply('quantMatmul', [x, packed, scales, ...zeros], { bits, blockSize: 16, outFeatures }));
};

/** Every primitive at smooth points. The table of the same name in src is exhaustive, and so is this one. */
export const gradCases: { readonly [K in PrimName]: GradCase } = {
  input: (d) => one(d.input('f32', d.shape(0, 3))),
  constant: 'none',
  iota: 'none',
  dimValue: 'none',
  neg: unary('neg'),
  exp: unary('exp'),
  log: unary('log', 0.5, 3),
  sqrt: unary('sqrt', 0.5, 3),
  recip: unary('recip', 0.5, 3),
  abs: stepwise('abs'),
  sign: stepwise('sign'),
  floor: stepwise('floor'),
  ceil: stepwise('ceil'),
  round: stepwise('round'),
  sin: unary('sin'),
  cos: unary('cos'),
  tanh: unary('tanh'),
  sigmoid: unary('sigmoid'),
  erf: unary('erf'),
  silu: unary('silu'),
  not: 'none',
  cast: (d) => one(ir.add(ir.cast(d.input('f32', d.shape(0, 3)), 'f32'), ir.cast(d.input('i32', []), 'f32'))),
  stopGradient: (d) => {
    const x = d.input('f32', d.shape(0, 3));
    return { outs: [ir.mul(ir.sin(x), apply('stopGradient', [d.input('f32', x.shape as number[])], {}))], wrt: [x] };
  },
  add: binary('add'),
  sub: binary('sub'),
  mul: binary('mul'),
  div: binary('div', [-2, 2], [0.5, 2]),
  pow: binary('pow', [0.5, 2], [-2, 2]),
  max: extremum('max'),
  min: extremum('min'),
  mod: (d) => {
    const [left, right] = pairOf(d);
    return one(
      ir.mod(
        given(d, 'f32', left, () => d.int(-6, 6) / 2 + 0.25),
        given(d, 'f32', right, () => d.pick([-2, -1, 1, 2])),
      ),
    );
  },
  and: 'none',
  or: 'none',
  xor: 'none',
  eq: 'none',
  lt: 'none',
  le: 'none',
  where: (d) => {
    const shape = d.shape(0, 3);
    return one(ir.where(d.input('bool', d.below(shape), 0, 1), d.input('f32', d.below(shape)), d.input('f32', d.below(shape))));
  },
  sum: reduction('sum', (d, shape) => d.input('f32', shape)),
  reduceMax: reduction('reduceMax', distinct),
  reduceMin: reduction('reduceMin', distinct),
  reduceProd: reduction('reduceProd', (d, shape) => given(d, 'f32', shape, () => d.pick([-1.5, -0.5, 0.75, 1.25]))),
  argmax: 'none',
  cumsum: (d) => {
    const shape = d.shape(1, 3);
    return one(apply('cumsum', [d.input('f32', shape)], { axis: d.int(0, shape.length - 1), exclusive: d.bool(), reverse: d.bool() }));
  },
  topK: (d) => {
    const shape = filled(d, 1, 3);
    const axis = d.int(0, shape.length - 1);
    return one(makeNode('topK', [distinct(d, shape)], { axis, k: d.int(0, shape[axis] as number), largest: d.bool() }).out());
  },
  reshape: (d) => {
    const shape = d.shape(0, 4);
    const turned = [...shape].reverse();
    return one(apply('reshape', [d.input('f32', shape)], { shape: d.bool() ? turned : [1, ...turned, 1] }));
  },
  transpose: (d) => {
    const shape = d.shape(0, 4);
    const perm = shape.map((_, i) => i);
    for (let i = perm.length - 1; i > 0; i--) {
      const j = d.int(0, i);
      [perm[i], perm[j]] = [perm[j] as number, perm[i] as number];
    }
    return one(ir.transpose(d.input('f32', shape), perm));
  },
  broadcastTo: (d) => {
    const shape = d.shape(0, 4);
    return one(apply('broadcastTo', [d.input('f32', d.below(shape))], { shape }));
  },
  slice,
  pad: (d) => {
    const shape = d.shape(1, 3);
    const widths = (): number[] => shape.map(() => d.int(0, 2));
    return one(apply('pad', [d.input('f32', shape)], { low: widths(), high: widths(), value: d.pick([0, 1.5]) }));
  },
  concat: (d) => {
    const shape = d.shape(1, 3);
    const axis = d.int(0, shape.length - 1);
    const parts = Array.from({ length: d.int(1, 3) }, () =>
      d.input(
        'f32',
        shape.map((n, i) => (i === axis ? d.size() : n)),
      ),
    );
    return one(apply('concat', d.bool() ? [...parts, parts[0] as Tensor] : parts, { axis }));
  },
  gather: (d) => {
    const shape = filled(d, 1, 3);
    const axis = d.int(0, shape.length - 1);
    return one(ir.gather(d.input('f32', shape), indicesBelow(d, d.shape(0, 2), shape[axis] as number), axis));
  },
  scatterAdd: (d) => {
    const size = d.int(1, 4);
    const around = d.shape(0, 2);
    const axis = d.int(0, around.length);
    const indices = indicesBelow(d, d.shape(0, 2), size);
    const updates = d.input('f32', [...around.slice(0, axis), ...(indices.shape as number[]), ...around.slice(axis)]);
    return one(ir.scatterAdd(indices, updates, axis, size));
  },
  takeAlong: (d) => {
    const shape = filled(d, 1, 3);
    const axis = d.int(0, shape.length - 1);
    const along = shape.map((n, i) => (i === axis ? d.size() : n));
    return one(ir.takeAlong(d.input('f32', shape), indicesBelow(d, along, shape[axis] as number), axis));
  },
  scatterAlong,
  matmul,
  conv1d,
  quantMatmul,
  threefry: 'none',
  ...structureCases,
};
