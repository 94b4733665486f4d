import type { DType } from '../dtype.js';
import { isInteger } from '../dtype.js';
import { OpError } from '../errors.js';
import type { Node } from '../graph.js';
import type { ElementwiseName } from '../prims.js';
import { broadcastRef, broadcastShape, type RefArray, refArray, roundTo, wrapIntegers } from './refArray.js';
import type { ReferenceRules } from './rule.js';
import { erf, floorMod, roundHalfEven, sigmoid } from './special.js';

const map = (f: (x: number) => number) => (_ctx: unknown, _node: unknown, inputs: readonly RefArray[]) => {
  const [x] = inputs as readonly [RefArray];
  const out = new Float64Array(x.data.length);
  for (let i = 0; i < out.length; i++) out[i] = f(x.data[i] as number);
  return [refArray(x.dtype, x.shape, wrapIntegers(x.dtype, out))];
};

type Loop = (a: Float64Array, b: Float64Array, out: Float64Array) => void;

/** A broadcasting binary rule; `integer` replaces the loop for integer operands where float64 arithmetic would not wrap rightly. */
function binary(loop: Loop, options: { result?: DType; integer?: (a: number, b: number, node: Node, dtype: DType) => number } = {}) {
  return (_ctx: unknown, node: Node, inputs: readonly RefArray[]): RefArray[] => {
    const [a, b] = inputs as readonly [RefArray, RefArray];
    if (a.dtype !== b.dtype) throw new OpError(node.op, `operands are ${a.dtype} and ${b.dtype}; cast one`, node.where);
    const shape = broadcastShape([a.shape, b.shape], node.op);
    const x = broadcastRef(a, shape, node.op).data;
    const y = broadcastRef(b, shape, node.op).data;
    const out = new Float64Array(x.length);
    if (options.integer && isInteger(a.dtype))
      for (let i = 0; i < out.length; i++) out[i] = options.integer(x[i] as number, y[i] as number, node, a.dtype);
    else loop(x, y, out);
    const dtype = options.result ?? a.dtype;
    return [refArray(dtype, shape, wrapIntegers(dtype, out))];
  };
}

const add: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) + (b[i] as number);
};
const sub: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) - (b[i] as number);
};
const mul: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) * (b[i] as number);
};
const div: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) / (b[i] as number);
};
const pow: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) ** (b[i] as number);
};
const max: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = Math.max(a[i] as number, b[i] as number);
};
const min: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = Math.min(a[i] as number, b[i] as number);
};
const mod: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = floorMod(a[i] as number, b[i] as number);
};
const and: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = a[i] && b[i] ? 1 : 0;
};
const or: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = a[i] || b[i] ? 1 : 0;
};
const xor: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = !a[i] !== !b[i] ? 1 : 0;
};
const eq: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = a[i] === b[i] ? 1 : 0;
};
const lt: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) < (b[i] as number) ? 1 : 0;
};
const le: Loop = (a, b, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) <= (b[i] as number) ? 1 : 0;
};

/** Product of integers: exact modulo 2^32; i64 in float64, checked afterwards. */
export const mulInteger = (a: number, b: number, dtype: DType): number => (dtype === 'i64' ? a * b : Math.imul(a, b));

function nonZero(b: number, node: Node): number {
  if (b === 0) throw new OpError(node.op, 'integer division by zero', node.where);
  return b;
}

/** float to integer truncates (out-of-range values wrap), anything to bool is x != 0, to f16 and bf16 rounds. */
function castTo(x: RefArray, dtype: DType): RefArray {
  const n = x.data.length;
  const out = new Float64Array(n);
  if (dtype === 'bool') for (let i = 0; i < n; i++) out[i] = x.data[i] === 0 ? 0 : 1;
  else if (isInteger(dtype)) for (let i = 0; i < n; i++) out[i] = Math.trunc(x.data[i] as number);
  else out.set(x.data);
  return refArray(dtype, x.shape, roundTo(dtype, out));
}

export const elementwiseRules: ReferenceRules<ElementwiseName> = {
  neg: map((x) => -x),
  exp: map(Math.exp),
  log: map(Math.log),
  sqrt: map(Math.sqrt),
  recip: map((x) => 1 / x),
  abs: map(Math.abs),
  sign: map(Math.sign),
  floor: map(Math.floor),
  ceil: map(Math.ceil),
  round: map(roundHalfEven),
  sin: map(Math.sin),
  cos: map(Math.cos),
  tanh: map(Math.tanh),
  sigmoid: map(sigmoid),
  erf: map(erf),
  not: map((x) => (x ? 0 : 1)),
  cast: (_ctx, node, inputs) => [castTo((inputs as readonly [RefArray])[0], node.attrs.dtype)],
  stopGradient: (_ctx, _node, inputs) => [(inputs as readonly [RefArray])[0]],
  add: binary(add),
  sub: binary(sub),
  mul: binary(mul, { integer: (a, b, _node, dtype) => mulInteger(a, b, dtype) }),
  div: binary(div, { integer: (a, b, node) => Math.trunc(a / nonZero(b, node)) }),
  pow: binary(pow),
  max: binary(max),
  min: binary(min),
  mod: binary(mod, { integer: (a, b, node) => floorMod(a, nonZero(b, node)) }),
  and: binary(and),
  or: binary(or),
  xor: binary(xor),
  eq: binary(eq, { result: 'bool' }),
  lt: binary(lt, { result: 'bool' }),
  le: binary(le, { result: 'bool' }),
  where: (_ctx, node, inputs) => {
    const [condition, a, b] = inputs as readonly [RefArray, RefArray, RefArray];
    const shape = broadcastShape([condition.shape, a.shape, b.shape], node.op);
    const c = broadcastRef(condition, shape, node.op).data;
    const x = broadcastRef(a, shape, node.op).data;
    const y = broadcastRef(b, shape, node.op).data;
    const out = new Float64Array(c.length);
    for (let i = 0; i < out.length; i++) out[i] = (c[i] ? x[i] : y[i]) as number;
    return [refArray(a.dtype, shape, out)];
  },
};
