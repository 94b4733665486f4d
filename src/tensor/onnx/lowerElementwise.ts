import { type DType, isInteger } from '../dtype.js';
import { isOp, type Node, type Tensor } from '../graph.js';
import type { ElementwiseName } from '../prims.js';
import { type Builder, operand, type Value } from './builder.js';
import type { LoweringRules } from './rule.js';

const direct =
  (op: string) =>
  (c: Builder, node: Node): Value =>
    c.op(op, c.values(node.inputs));

/** True where a tensor is a constant without the value -1. */
function neverMinusOne(t: Tensor): boolean {
  return isOp(t.node, 'constant') && t.node.attrs.value.toNumbers().every((x) => x !== -1);
}

/**
 * An integer Div or Mod. The kernels report a division by zero as an error, but -2^31 / -1 is a hardware trap that would end the
 * process: i32 is divided in i64 unless the divisor is known, and the result wraps.
 */
function divide(c: Builder, node: Node, op: 'Div' | 'Mod'): Value {
  const [x, y] = [c.input(node, 0), c.input(node, 1)];
  if (node.out().dtype !== 'i32' || neverMinusOne(operand(node, 1))) return c.op(op, [x, y]);
  return c.cast(c.op(op, [c.cast(x, 'i64'), c.cast(y, 'i64')]), 'i32');
}

/** dtype that holds values of another for Where, whose kernels lack some; the way there and back is exact. */
const whereCarrier: Partial<Record<DType, DType>> = { u32: 'i64', bool: 'u8', f16: 'f32', bf16: 'f32' };

export const elementwiseRules: LoweringRules<ElementwiseName> = {
  neg: direct('Neg'),
  exp: direct('Exp'),
  log: direct('Log'),
  sqrt: direct('Sqrt'),
  recip: direct('Reciprocal'),
  abs: direct('Abs'),
  sign: direct('Sign'),
  floor: direct('Floor'),
  ceil: direct('Ceil'),
  round: direct('Round'),
  sin: direct('Sin'),
  cos: direct('Cos'),
  tanh: direct('Tanh'),
  sigmoid: direct('Sigmoid'),
  erf: direct('Erf'),
  not: direct('Not'),
  cast: (c, node) => (operand(node, 0).dtype === node.attrs.dtype ? c.input(node, 0) : c.cast(c.input(node, 0), node.attrs.dtype)),
  stopGradient: (c, node) => c.input(node, 0),
  add: direct('Add'),
  sub: direct('Sub'),
  mul: direct('Mul'),
  div: (c, node) => divide(c, node, 'Div'),
  pow: direct('Pow'),
  max: direct('Max'),
  min: direct('Min'),
  mod: (c, node) => {
    // ONNX Mod has the divisor's sign for integers, but only C's fmod for floats
    if (isInteger(node.out().dtype)) return divide(c, node, 'Mod');
    const [x, y] = [c.input(node, 0), c.input(node, 1)];
    const whole = c.op('Floor', [c.op('Div', [x, y])]);
    return c.op('Sub', [x, c.op('Mul', [whole, y])]);
  },
  and: direct('And'),
  or: direct('Or'),
  xor: direct('Xor'),
  eq: direct('Equal'),
  lt: direct('Less'),
  le: direct('LessOrEqual'),
  where: (c, node) => {
    const [condition, a, b] = [c.input(node, 0), c.input(node, 1), c.input(node, 2)];
    const { dtype } = node.out();
    const carrier = whereCarrier[dtype];
    if (!carrier) return c.op('Where', [condition, a, b]);
    return c.cast(c.op('Where', [condition, c.cast(a, carrier), c.cast(b, carrier)]), dtype);
  },
};
