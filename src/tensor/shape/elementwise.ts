import { type DType, dtypes } from '../dtype.js';
import type { Spec, Tensor } from '../graph.js';
import type { ElementwiseName, PrimName } from '../prims.js';
import { broadcast, expectDType, expectSameDType, numeric, operands, type ShapeRules, signed } from './check.js';

const floats: readonly DType[] = ['f32'];
const bools: readonly DType[] = ['bool'];

/** One operand of the allowed dtypes; the result has its shape and dtype. */
const unary =
  (op: PrimName, allowed: readonly DType[]) =>
  (inputs: readonly Tensor[]): readonly Spec[] => {
    const [x] = operands(op, inputs, 1);
    expectDType(op, 'the operand', x.dtype, allowed);
    return [{ shape: x.shape, dtype: x.dtype }];
  };

/** Two broadcast operands of one allowed dtype. */
const binary =
  (op: PrimName, allowed: readonly DType[], result?: DType) =>
  (inputs: readonly Tensor[]): readonly Spec[] => {
    const [a, b] = operands(op, inputs, 2);
    const shape = broadcast(op, [a.shape, b.shape]);
    const dtype = expectSameDType(op, [a, b]);
    expectDType(op, 'operands', dtype, allowed);
    return [{ shape, dtype: result ?? dtype }];
  };

export const elementwiseRules: ShapeRules<ElementwiseName | 'silu' | 'gelu'> = {
  neg: unary('neg', signed),
  exp: unary('exp', floats),
  log: unary('log', floats),
  sqrt: unary('sqrt', floats),
  recip: unary('recip', floats),
  abs: unary('abs', numeric),
  sign: unary('sign', numeric),
  floor: unary('floor', floats),
  ceil: unary('ceil', floats),
  round: unary('round', floats),
  sin: unary('sin', floats),
  cos: unary('cos', floats),
  tanh: unary('tanh', floats),
  sigmoid: unary('sigmoid', floats),
  erf: unary('erf', floats),
  silu: unary('silu', floats),
  gelu: unary('gelu', floats),
  not: unary('not', bools),
  cast: (inputs, { dtype }) => {
    const [x] = operands('cast', inputs, 1);
    expectDType('cast', 'the target', dtype, dtypes);
    return [{ shape: x.shape, dtype }];
  },
  stopGradient: unary('stopGradient', dtypes),
  add: binary('add', numeric),
  sub: binary('sub', numeric),
  mul: binary('mul', numeric),
  div: binary('div', numeric),
  pow: binary('pow', floats),
  max: binary('max', numeric),
  min: binary('min', numeric),
  mod: binary('mod', numeric),
  and: binary('and', bools),
  or: binary('or', bools),
  xor: binary('xor', bools),
  eq: binary('eq', [...numeric, 'bool', 'u8'], 'bool'),
  lt: binary('lt', numeric, 'bool'),
  le: binary('le', numeric, 'bool'),
  where: (inputs) => {
    const [condition, a, b] = operands('where', inputs, 3);
    expectDType('where', 'the condition', condition.dtype, bools);
    return [{ shape: broadcast('where', [condition.shape, a.shape, b.shape]), dtype: expectSameDType('where', [a, b]) }];
  },
};
