import { type Dim, dimDiv, dimMul, type Shape, shapeEq, shapeStr, sizeOf } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { type Axes, asTensor, dimOf, type Operand, resolveAxes, resolveAxis } from './operand.js';

/** Same elements in another shape; one size may be -1 and is worked out (exactly, also with symbolic sizes). */
export function reshape(value: Operand, shape: Shape): Tensor {
  const x = asTensor(value);
  const target = inferSize(x.shape, shape);
  return shapeEq(x.shape, target) ? x : apply('reshape', [x], { shape: target });
}

function inferSize(from: Shape, to: Shape): Shape {
  const open = to.indexOf(-1);
  if (open < 0) return to;
  if (to.lastIndexOf(-1) !== open) throw new OpError('reshape', `only one size of ${shapeStr(to)} may be -1`);
  const known = sizeOf(to.filter((_, i) => i !== open));
  const rest = dimDiv(sizeOf(from), known);
  if (rest === undefined)
    throw new OpError('reshape', `${shapeStr(from)} cannot become ${shapeStr(to)}: ${sizeOf(from)} is no multiple of ${known}`);
  return to.map((d, i) => (i === open ? rest : d));
}

/** Joins the axes from `start` to `end` (inclusive) into one. */
export function flatten(value: Operand, start = 0, end = -1): Tensor {
  const x = asTensor(value);
  if (x.rank === 0) return reshape(x, [1]);
  const [a, b] = [resolveAxis('flatten', start, x.shape), resolveAxis('flatten', end, x.shape)];
  if (a > b) throw new OpError('flatten', `axis ${start} comes after axis ${end} in ${shapeStr(x.shape)}`);
  return reshape(x, [...x.shape.slice(0, a), sizeOf(x.shape.slice(a, b + 1)), ...x.shape.slice(b + 1)]);
}

/** Axis i of the result is axis perm[i] of x; without perm, the axes are reversed. */
export function transpose(value: Operand, perm?: readonly number[]): Tensor {
  const x = asTensor(value);
  const order = perm ? perm.map((p) => (p < 0 ? p + x.rank : p)) : x.shape.map((_, i) => x.rank - 1 - i);
  const isIdentity = order.length === x.rank && order.every((p, i) => p === i);
  return isIdentity ? x : apply('transpose', [x], { perm: order });
}

/** Exchanges two axes. */
export function swapAxes(value: Operand, a: number, b: number): Tensor {
  const x = asTensor(value);
  const [i, j] = [resolveAxis('swapAxes', a, x.shape), resolveAxis('swapAxes', b, x.shape)];
  return transpose(
    x,
    x.shape.map((_, k) => (k === i ? j : k === j ? i : k)),
  );
}

/** Moves an axis to another place; the others keep their order. */
export function moveAxis(value: Operand, from: number, to: number): Tensor {
  const x = asTensor(value);
  const [i, j] = [resolveAxis('moveAxis', from, x.shape), resolveAxis('moveAxis', to, x.shape)];
  const perm = x.shape.map((_, k) => k).filter((k) => k !== i);
  perm.splice(j, 0, i);
  return transpose(x, perm);
}

/** Drops axes of size 1 (default: all of them). */
export function squeeze(value: Operand, axis?: Axes): Tensor {
  const x = asTensor(value);
  const axes = axis === undefined ? x.shape.flatMap((d, i) => (d === 1 ? [i] : [])) : resolveAxes('squeeze', axis, x.shape);
  for (const a of axes)
    if (dimOf(x, a) !== 1) throw new OpError('squeeze', `axis ${a} of ${shapeStr(x.shape)} has the size ${dimOf(x, a)}, not 1`);
  return reshape(
    x,
    x.shape.filter((_, i) => !axes.includes(i)),
  );
}

/** Adds axes of size 1 at the given places of the result. */
export function unsqueeze(value: Operand, axis: Axes): Tensor {
  const x = asTensor(value);
  const count = typeof axis === 'number' ? 1 : axis.length;
  const blank: Dim[] = Array.from({ length: x.rank + count }, () => 1);
  const axes = resolveAxes('unsqueeze', axis, blank);
  const rest = [...x.shape];
  return reshape(
    x,
    blank.map((one, i) => (axes.includes(i) ? one : (rest.shift() as Dim))),
  );
}

/** NumPy broadcasting to a shape. */
export function broadcastTo(value: Operand, shape: Shape): Tensor {
  const x = asTensor(value);
  return shapeEq(x.shape, shape) ? x : apply('broadcastTo', [x], { shape });
}

/** Each element `count` times in a row along an axis: [a, b] -> [a, a, b, b]. */
export function repeat(value: Operand, count: number, axis = -1): Tensor {
  const x = asTensor(value);
  const a = resolveAxis('repeat', axis, x.shape);
  expectCount('repeat', count);
  const spread = broadcastTo(unsqueeze(x, a + 1), [...x.shape.slice(0, a + 1), count, ...x.shape.slice(a + 1)]);
  return reshape(
    spread,
    x.shape.map((d, i) => (i === a ? dimMul(d, count) : d)),
  );
}

/** x laid side by side counts[i] times along axis i: [a, b] -> [a, b, a, b]. */
export function tile(value: Operand, counts: readonly number[]): Tensor {
  const x = asTensor(value);
  if (counts.length !== x.rank) throw new OpError('tile', `needs a count for each of the ${x.rank} axes of ${shapeStr(x.shape)}`);
  for (const n of counts) expectCount('tile', n);
  const spread = reshape(
    x,
    x.shape.flatMap((d) => [1, d]),
  );
  const wide = broadcastTo(
    spread,
    x.shape.flatMap((d, i) => [counts[i] as number, d]),
  );
  return reshape(
    wide,
    x.shape.map((d, i) => dimMul(d, counts[i] as number)),
  );
}

function expectCount(op: string, count: number): void {
  if (!Number.isSafeInteger(count) || count < 0) throw new OpError(op, `a count must be a non-negative integer, got ${count}`);
}
