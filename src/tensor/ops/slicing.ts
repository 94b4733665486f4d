import { type Dim, dimAdd, dimDiv, dimSub, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { reshape } from './movement.js';
import { asTensor, dimOf, type Operand, resolveAxis } from './operand.js';

/**
 * [start, end, step]: from start up to, not including, end. A negative bound counts from the end of the axis; null or a missing
 * bound means the whole side. A negative step walks backwards.
 */
export type Range = readonly [start?: Dim | null, end?: Dim | null, step?: number];
/** Ranges by axis number, e.g. `{ 1: [0, 5], [-1]: [null, null, 2] }`, or a list that starts at axis 0 (null leaves an axis whole). */
export type Ranges = Readonly<Record<number, Range>> | readonly (Range | null)[];

/** Entries of a by-axis record or list, with axes resolved; each axis at most once. */
function byAxis<T>(op: string, given: Readonly<Record<number, T>> | readonly (T | null)[], x: Tensor): Map<number, T> {
  const out = new Map<number, T>();
  for (const [key, entry] of Object.entries(given)) {
    const axis = resolveAxis(op, Number(key), x.shape);
    if (out.has(axis)) throw new OpError(op, `axis ${axis} of ${shapeStr(x.shape)} is named twice`);
    if (entry !== null && entry !== undefined) out.set(axis, entry as T);
  }
  return out;
}

/** Part of a tensor, e.g. `slice(x, { 1: [0, 5], [-1]: [null, null, -1] })`. Bounds beyond the axis are an error. */
export function slice(value: Operand, ranges: Ranges): Tensor {
  const x = asTensor(value);
  const chosen = byAxis<Range>('slice', ranges, x);
  const bounds = x.shape.map((size, axis) => {
    const [start = null, end = null, step = 1] = chosen.get(axis) ?? [];
    const resolve = (d: Dim): Dim => (typeof d === 'number' && d < 0 ? dimAdd(size, d) : d);
    const first = start === null ? (step < 0 ? dimSub(size, 1) : 0) : resolve(start);
    const limit = end === null ? (step < 0 ? -1 : size) : resolve(end);
    if (step < 0 && end !== null && typeof limit === 'number' && limit < 0)
      throw new OpError('slice', `end ${end} lies before axis ${axis} of ${shapeStr(x.shape)}; use null to walk to the front`);
    return { first, limit, step };
  });
  return apply('slice', [x], { starts: bounds.map((b) => b.first), limits: bounds.map((b) => b.limit), steps: bounds.map((b) => b.step) });
}

/** The entry at position i of an axis, which is dropped; a negative i counts from the end. */
export function at(value: Operand, i: number, axis = 0): Tensor {
  const x = asTensor(value);
  const a = resolveAxis('at', axis, x.shape);
  const size = dimOf(x, a);
  const start = i < 0 ? dimAdd(size, i) : i;
  if (!Number.isInteger(i) || (typeof size === 'number' && (i >= size || i < -size)))
    throw new OpError('at', `index ${i} is out of range for axis ${axis} of ${shapeStr(x.shape)}`);
  const row = slice(x, { [a]: [start, dimAdd(start, 1)] });
  return reshape(
    row,
    row.shape.filter((_, k) => k !== a),
  );
}

/** Cuts an axis into `parts` equal pieces, or into pieces of the listed sizes. */
export function split(value: Operand, parts: number | readonly Dim[], axis = -1): Tensor[] {
  const x = asTensor(value);
  const a = resolveAxis('split', axis, x.shape);
  const size = dimOf(x, a);
  let sizes: readonly Dim[];
  if (typeof parts === 'number') {
    const each = Number.isInteger(parts) && parts > 0 ? dimDiv(size, parts) : undefined;
    if (each === undefined) throw new OpError('split', `axis ${axis} of ${shapeStr(x.shape)} does not split into ${parts} equal parts`);
    sizes = Array.from({ length: parts }, () => each);
  } else {
    const total = parts.reduce<Dim>(dimAdd, 0);
    if (String(total) !== String(size))
      throw new OpError('split', `sizes [${parts.join(', ')}] add up to ${total}, but axis ${axis} of ${shapeStr(x.shape)} has ${size}`);
    sizes = parts;
  }
  let start: Dim = 0;
  return sizes.map((n) => {
    const end = dimAdd(start, n);
    const piece = slice(x, { [a]: [start, end] });
    start = end;
    return piece;
  });
}

/** Elements to add before and after, by axis number or as a list that starts at axis 0. */
export type Widths = Readonly<Record<number, readonly [number, number]>> | readonly (readonly [number, number] | null)[];

/** Widens axes by [low, high] elements of `value` (default 0), e.g. `pad(x, { [-1]: [2, 0] })`. */
export function pad(operand: Operand, widths: Widths, value = 0): Tensor {
  const x = asTensor(operand);
  const chosen = byAxis<readonly [number, number]>('pad', widths, x);
  const side = (k: 0 | 1): number[] => x.shape.map((_, axis) => chosen.get(axis)?.[k] ?? 0);
  return apply('pad', [x], { low: side(0), high: side(1), value });
}

/** Reverses the order along an axis (default: the last) or several. */
export function flip(value: Operand, axis: number | readonly number[] = -1): Tensor {
  const axes = typeof axis === 'number' ? [axis] : axis;
  return slice(value, Object.fromEntries(axes.map((a): [number, Range] => [a, [null, null, -1]])));
}

/** Shifts along an axis; what leaves at one end enters at the other: roll([1, 2, 3], 1) = [3, 1, 2]. */
export function roll(value: Operand, shift: number, axis = -1): Tensor {
  const x = asTensor(value);
  const a = resolveAxis('roll', axis, x.shape);
  const size = dimOf(x, a);
  if (!Number.isInteger(shift)) throw new OpError('roll', `the shift must be an integer, got ${shift}`);
  const by = typeof size === 'number' && size > 0 ? ((shift % size) + size) % size : shift;
  if (by === 0 || size === 0) return x;
  const cut = by > 0 ? dimSub(size, by) : -by;
  return apply('concat', [slice(x, { [a]: [cut, null] }), slice(x, { [a]: [0, cut] })], { axis: a });
}

/** Joins tensors along an axis (default: the last). */
export function concat(values: readonly Operand[], axis = -1): Tensor {
  const xs = values.map((v) => asTensor(v));
  const [first] = xs;
  if (!first) throw new OpError('concat', 'needs at least one operand');
  const a = resolveAxis('concat', axis, first.shape);
  return xs.length === 1 ? first : apply('concat', xs, { axis: a });
}

/** Joins tensors of one shape along a new axis (default: the first). */
export function stack(values: readonly Operand[], axis = 0): Tensor {
  const xs = values.map((v) => asTensor(v));
  const [first] = xs;
  if (!first) throw new OpError('stack', 'needs at least one operand');
  const a = resolveAxis('stack', axis, [1, ...first.shape]);
  return concat(
    xs.map((x) => reshape(x, [...x.shape.slice(0, a), 1, ...x.shape.slice(a)])),
    a,
  );
}
