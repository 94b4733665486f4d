import { type Dim, isStatic, sizeOf } from '../dim.js';
import type { Builder, Value } from './builder.js';
import { expandedBefore, type LoweringRules } from './rule.js';

/** Static counters up to this many elements are constants; larger ones are computed, which keeps them out of the model. */
const CONSTANT_ELEMENTS = 4096;

/** 0, 1, ... size - 1 as [size]. */
export function counter(c: Builder, size: Dim, dtype: 'i32' | 'f32'): Value {
  if (typeof size === 'number' && size <= CONSTANT_ELEMENTS)
    return c.constant(
      dtype,
      [size],
      Array.from({ length: size }, (_, i) => i),
    );
  const limit = typeof size === 'number' ? c.scalar(size, 'i32') : c.op('Squeeze', [c.cast(c.model.dims.value(size), 'i32')]);
  const range = c.op('Range', [c.scalar(0, 'i32'), limit, c.scalar(1, 'i32')]);
  return dtype === 'i32' ? range : c.cast(range, dtype);
}

export const leafRules: LoweringRules<'input' | 'constant' | 'iota' | 'dimValue'> = {
  input: (c, node) => expandedBefore(c, node),
  constant: (c, node) => c.model.array(node.out(), node.attrs.value),
  iota: (c, node) => {
    const { shape, axis, dtype } = node.attrs;
    const size = shape[axis] as Dim;
    const total = sizeOf(shape);
    if (isStatic(shape) && typeof total === 'number' && total <= CONSTANT_ELEMENTS && total > 0) {
      const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
      const values = Array.from({ length: total }, (_, i) => Math.floor(i / inner) % (shape[axis] as number));
      return c.constant(dtype, shape, values);
    }
    const column = shape.map((_, i) => (i === axis ? size : 1));
    return c.expand(c.reshape(counter(c, size, dtype), [size], column), column, shape);
  },
  dimValue: (c, node) => {
    const { dim, dtype } = node.attrs;
    return typeof dim === 'number' ? c.scalar(dim, dtype) : c.op('Squeeze', [c.cast(c.model.dims.value(dim), dtype)]);
  },
};
