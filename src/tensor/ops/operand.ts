import { encode, NDArray } from '../array.js';
import { type Dim, type Shape, shapeStr } from '../dim.js';
import { type DType, isFloat } from '../dtype.js';
import { OpError } from '../errors.js';
import { apply, Tensor } from '../graph.js';
import { expectDType } from '../shape/check.js';

/** What an operation takes as an operand: a tensor, a host array (becomes a constant) or a number (takes the dtype of the other operand). */
export type Operand = Tensor | NDArray | number | boolean;
/** One axis or several; negative axes count from the end. */
export type Axes = number | readonly number[];

const integerRange: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  i64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  u32: [0, 2 ** 32 - 1],
  u8: [0, 255],
  bool: [0, 1],
};

/** A constant scalar; refuses a number that the dtype cannot hold. */
export function scalar(value: number | boolean, dtype: DType = typeof value === 'boolean' ? 'bool' : 'f32'): Tensor {
  const number = Number(value);
  const range = integerRange[dtype];
  if (range && !(Number.isInteger(number) && number >= range[0] && number <= range[1]))
    throw new OpError('scalar', `${value} is no ${dtype} value; cast the tensor beside it to f32 or give a whole number in range`);
  return apply('constant', [], { value: new NDArray(dtype, [], encode(dtype, [number])) });
}

/** A host array as a constant of the graph. For data that changes between runs, pass it as an argument of the compiled function. */
export const constant = (value: NDArray): Tensor => apply('constant', [], { value });

const isPlain = (x: unknown): x is number | boolean => typeof x === 'number' || typeof x === 'boolean';

/** Makes a tensor of an operand; a number becomes a scalar of `dtype`. */
export function asTensor(value: Operand, dtype?: DType): Tensor {
  if (value instanceof Tensor) return value;
  if (value instanceof NDArray) return constant(value);
  if (isPlain(value)) return scalar(value, dtype);
  throw new OpError('asTensor', `an operand must be a Tensor, an NDArray (array(...)) or a number, got ${describe(value)}`);
}

const describe = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);

/** Makes tensors of several operands; numbers take the dtype of the first that is no number (f32 if there is none). */
export function asTensors(...values: readonly Operand[]): Tensor[] {
  const typed = values.find((v) => !isPlain(v));
  const dtype = typed === undefined ? (values.every((v) => typeof v === 'boolean') ? 'bool' : 'f32') : asTensor(typed).dtype;
  return values.map((v) => asTensor(v, dtype));
}

/** An axis as a non-negative number. */
export function resolveAxis(op: string, axis: number, shape: Shape): number {
  const resolved = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(resolved) || resolved < 0 || resolved >= shape.length)
    throw new OpError(
      op,
      `axis ${axis} is out of range for shape ${shapeStr(shape)}${shape.length ? ` (${-shape.length} to ${shape.length - 1})` : ', which has no axes'}`,
    );
  return resolved;
}

/** Axes as ascending non-negative numbers; undefined means all. */
export function resolveAxes(op: string, axes: Axes | undefined, shape: Shape): number[] {
  if (axes === undefined) return shape.map((_, i) => i);
  const list = (typeof axes === 'number' ? [axes] : axes).map((a) => resolveAxis(op, a, shape)).sort((a, b) => a - b);
  if (new Set(list).size !== list.length) throw new OpError(op, `axes [${String(axes)}] name an axis of ${shapeStr(shape)} twice`);
  return list;
}

/** Size of an axis; negative axes count from the end. */
export const dimOf = (x: Tensor, axis: number): Dim => x.shape[axis < 0 ? axis + x.rank : axis] as Dim;

/** An operand that must be f32. */
export function asFloat(op: string, value: Operand): Tensor {
  const x = asTensor(value, 'f32');
  expectDType(op, 'the operand', x.dtype, ['f32']);
  return x;
}

/** An operand of indices; numbers become i32. */
export function asIndices(op: string, value: Operand): Tensor {
  const x = asTensor(value, 'i32');
  if (isFloat(x.dtype) || x.dtype === 'bool') throw new OpError(op, `indices must be integers, got ${x.dtype}; cast to i32: x.cast('i32')`);
  return x;
}
