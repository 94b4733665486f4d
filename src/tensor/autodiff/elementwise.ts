import { isOp, type Node, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import type { ElementwiseName } from '../prims.js';
import { noGrad, only, type VjpPart, type VjpRule } from './types.js';

const flat = noGrad('its result is an integer or a truth value; use a straight-through variant or a soft relaxation');
/** Piecewise constant: the gradient is zero almost everywhere. */
const zero = (): [null] => [null];

/** Rule of y = f(x) from f'(x), given x and y. */
const unary =
  (derivative: (x: Tensor, y: Tensor, g: Tensor) => Tensor) =>
  (node: Node, cotangents: readonly (Tensor | null)[]): [Tensor] => [derivative(node.inputs[0] as Tensor, node.out(), only(cotangents))];

/** Rule of a broadcasting binary op from the two partial products. */
function binary<K extends 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'max' | 'min' | 'mod'>(
  left: (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor,
  right: (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor,
): VjpRule<K> {
  return (node, cotangents, needs) => {
    const [a, b] = node.inputs as readonly [Tensor, Tensor];
    const g = only(cotangents);
    return [
      needs[0] ? ir.sumTo(left(g, a, b, node.out()), a.shape) : null,
      needs[1] ? ir.sumTo(right(g, a, b, node.out()), b.shape) : null,
    ];
  };
}

/** Share of the cotangent of max(a, b) that goes to a: 1 where a wins, half at a tie. */
const winner = (g: Tensor, a: Tensor, b: Tensor): Tensor =>
  ir.mul(g, ir.add(ir.cast(ir.lt(b, a), 'f32'), ir.mul(ir.scalar(0.5), ir.cast(ir.eq(a, b), 'f32'))));

/** log(a) where a > 0 and 0 elsewhere: d/db a^b is zero at a = 0. */
function safeLog(a: Tensor): Tensor {
  const positive = ir.lt(ir.scalar(0), a);
  return ir.where(positive, ir.log(ir.where(positive, a, ir.scalar(1))), ir.scalar(0));
}

/** d/da a^b = b a^(b-1), and 0 where a and b are 0, where the power alone is infinite. */
function powerSlope(a: Tensor, b: Tensor): Tensor {
  const less = ir.sub(b, one());
  const neverZero = isOp(b.node, 'constant') && b.node.attrs.value.toNumbers().every((x) => x !== 0);
  if (neverZero) return ir.mul(b, ir.pow(a, less));
  const atZero = ir.and(ir.eq(a, ir.scalar(0)), ir.eq(b, ir.scalar(0)));
  return ir.mul(b, ir.pow(a, ir.where(atZero, one(), less)));
}

const one = (): Tensor => ir.scalar(1);

export const elementwiseVjp: VjpPart<ElementwiseName | 'silu' | 'gelu'> = {
  neg: unary((_x, _y, g) => ir.neg(g)),
  exp: unary((_x, y, g) => ir.mul(g, y)),
  log: unary((x, _y, g) => ir.div(g, x)),
  sqrt: unary((_x, y, g) => ir.div(ir.mul(g, ir.scalar(0.5)), y)),
  recip: unary((_x, y, g) => ir.neg(ir.mul(g, ir.mul(y, y)))),
  abs: unary((x, _y, g) => ir.mul(g, ir.sign(x))),
  sign: zero,
  floor: zero,
  ceil: zero,
  round: zero,
  sin: unary((x, _y, g) => ir.mul(g, ir.cos(x))),
  cos: unary((x, _y, g) => ir.neg(ir.mul(g, ir.sin(x)))),
  tanh: unary((_x, y, g) => ir.mul(g, ir.sub(one(), ir.mul(y, y)))),
  sigmoid: unary((_x, y, g) => ir.mul(g, ir.mul(y, ir.sub(one(), y)))),
  erf: unary((x, _y, g) => ir.mul(g, ir.mul(ir.scalar(2 / Math.sqrt(Math.PI)), ir.exp(ir.neg(ir.mul(x, x)))))),
  not: flat,
  // Half-precision values have f32 cotangents, so a float cast passes them on as they are.
  cast: (_node, cotangents) => [only(cotangents)],
  stopGradient: zero,
  add: binary(
    (g) => g,
    (g) => g,
  ),
  sub: binary(
    (g) => g,
    (g) => ir.neg(g),
  ),
  mul: binary(
    (g, _a, b) => ir.mul(g, b),
    (g, a) => ir.mul(g, a),
  ),
  div: binary(
    (g, _a, b) => ir.div(g, b),
    (g, _a, b, y) => ir.neg(ir.div(ir.mul(g, y), b)),
  ),
  pow: binary(
    (g, a, b) => ir.mul(g, powerSlope(a, b)),
    (g, a, _b, y) => ir.mul(g, ir.mul(y, safeLog(a))),
  ),
  max: binary(
    (g, a, b) => winner(g, a, b),
    (g, a, b) => winner(g, b, a),
  ),
  min: binary(
    (g, a, b) => winner(g, b, a),
    (g, a, b) => winner(g, a, b),
  ),
  mod: binary(
    (g) => g,
    (g, a, b) => ir.neg(ir.mul(g, ir.floor(ir.div(a, b)))),
  ),
  and: flat,
  or: flat,
  xor: flat,
  eq: flat,
  lt: flat,
  le: flat,
  where: (node, cotangents, needs) => {
    const [condition, a, b] = node.inputs as readonly [Tensor, Tensor, Tensor];
    const g = only(cotangents);
    const nothing = ir.scalar(0);
    return [
      null,
      needs[1] ? ir.sumTo(ir.where(condition, g, nothing), a.shape) : null,
      needs[2] ? ir.sumTo(ir.where(condition, nothing, g), b.shape) : null,
    ];
  },
  // s + y (1 - s): two products less than the derivative of x * s.
  silu: unary((x, y, g) => {
    const s = ir.sigmoid(x);
    return ir.mul(g, ir.add(s, ir.mul(y, ir.sub(one(), s))));
  }),
  gelu: (node, cotangents) => {
    const x = node.inputs[0] as Tensor;
    const g = only(cotangents);
    if (node.attrs.approximate === 'none') {
      const phi = ir.mul(ir.scalar(0.5), ir.add(one(), ir.erf(ir.mul(x, ir.scalar(Math.SQRT1_2)))));
      const density = ir.mul(ir.exp(ir.mul(ir.mul(x, x), ir.scalar(-0.5))), ir.scalar(1 / Math.sqrt(2 * Math.PI)));
      return [ir.mul(g, ir.add(phi, ir.mul(x, density)))];
    }
    const c = Math.sqrt(2 / Math.PI);
    const x2 = ir.mul(x, x);
    const t = ir.tanh(ir.mul(x, ir.add(ir.scalar(c), ir.mul(ir.scalar(c * 0.044715), x2))));
    const inner = ir.add(ir.scalar(c), ir.mul(ir.scalar(3 * c * 0.044715), x2));
    const slope = ir.mul(ir.mul(x, inner), ir.sub(one(), ir.mul(t, t)));
    return [ir.mul(g, ir.mul(ir.scalar(0.5), ir.add(ir.add(one(), t), slope)))];
  },
};
