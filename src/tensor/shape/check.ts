import { type Dim, dimEq, dimSub, type Shape, shapeStr } from '../dim.js';
import { type DType, isFloat } from '../dtype.js';
import { OpError } from '../errors.js';
import type { Spec, Tensor } from '../graph.js';
import type { PrimAttrs, PrimName } from '../prims.js';

export type ShapeRule<K extends PrimName> = (inputs: readonly Tensor[], attrs: PrimAttrs[K]) => readonly Spec[];
/** The shape rules of some primitives. */
export type ShapeRules<K extends PrimName> = { [P in K]: ShapeRule<P> };

/** Dtypes with arithmetic; f16, bf16 and u8 are storage. */
export const numeric: readonly DType[] = ['f32', 'i32', 'i64', 'u32'];
/** Numeric dtypes with negative values, which reductions and scatters compute in. */
export const signed: readonly DType[] = ['f32', 'i32', 'i64'];
export const indexTypes: readonly DType[] = ['i32', 'i64'];

interface Tuples {
  0: [];
  1: [Tensor];
  2: [Tensor, Tensor];
  3: [Tensor, Tensor, Tensor];
  4: [Tensor, Tensor, Tensor, Tensor];
  5: [Tensor, Tensor, Tensor, Tensor, Tensor];
  6: [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
}

/** The operands as a tuple of exactly n. */
export function operands<N extends keyof Tuples>(op: string, inputs: readonly Tensor[], n: N): Tuples[N] {
  if (inputs.length !== n) throw new OpError(op, `needs ${n} operand${n === 1 ? '' : 's'}, got ${inputs.length}`);
  return inputs as Tuples[N];
}

/** A dtype refused by an op, with what to do about it. */
export function expectDType(op: string, what: string, dtype: DType, allowed: readonly DType[]): void {
  if (allowed.includes(dtype)) return;
  const list = allowed.length > 1 ? `${allowed.slice(0, -1).join(', ')} or ${allowed[allowed.length - 1]}` : `${allowed[0]}`;
  const storage = isFloat(dtype) && dtype !== 'f32' ? ` (${dtype} is a storage type)` : '';
  const target = allowed.includes('f32') ? 'f32' : allowed[0];
  const advice = target === 'bool' ? "compare it (e.g. x.ne(0)) or x.cast('bool')" : `cast to ${target}: x.cast('${target}')`;
  throw new OpError(op, `${what} must be ${list}, got ${dtype}${storage}; ${advice}`);
}

export const expectFloat = (op: string, ...xs: Tensor[]): void => {
  for (const x of xs) expectDType(op, 'the operand', x.dtype, ['f32']);
};

export function expectSameDType(op: string, xs: readonly Tensor[]): DType {
  const first = xs[0];
  if (!first) throw new OpError(op, 'needs at least one operand');
  for (const x of xs)
    if (x.dtype !== first.dtype)
      throw new OpError(
        op,
        `operands have the dtypes ${xs.map((t) => t.dtype).join(' and ')} (shapes ${shapesStr(xs)}); cast one so that they are equal`,
      );
  return first.dtype;
}

export const shapesStr = (xs: readonly { readonly shape: Shape }[]): string => xs.map((x) => shapeStr(x.shape)).join(' and ');

export function expectRank(op: string, what: string, x: Tensor, rank: number, layout: string): void {
  if (x.rank !== rank) throw new OpError(op, `${what} must be ${layout} (rank ${rank}), got ${shapeStr(x.shape)}`);
}

/** Throws unless a shape equals the expected one; `layout` names its axes. */
export function expectShape(op: string, what: string, shape: Shape, expected: Shape, layout: string): void {
  if (shape.length === expected.length && shape.every((d, i) => dimEq(d, expected[i] as Dim))) return;
  throw new OpError(op, `${what} must be ${layout} = ${shapeStr(expected)}, got ${shapeStr(shape)}`);
}

/** A given shape: non-negative integers or symbolic sizes. */
export function expectValidShape(op: string, shape: Shape): void {
  if (!Array.isArray(shape)) throw new OpError(op, `the shape must be an array of sizes, got ${String(shape)}`);
  for (const d of shape) {
    if (typeof d === 'number' ? Number.isSafeInteger(d) && d >= 0 : typeof d === 'object' && d !== null) continue;
    throw new OpError(op, `shape ${shapeStr(shape)} has the size ${String(d)}; sizes are non-negative integers or symbols`);
  }
}

export function expectAxis(op: string, axis: number, rank: number, shape?: Shape): void {
  if (Number.isInteger(axis) && axis >= 0 && axis < rank) return;
  const of = shape ? `shape ${shapeStr(shape)}` : `rank ${rank}`;
  throw new OpError(op, `axis ${axis} is out of range for ${of}${rank ? ` (0 to ${rank - 1})` : ', which has no axes'}`);
}

export function expectInteger(op: string, what: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) throw new OpError(op, `${what} must be an integer of at least ${least}, got ${value}`);
}

export function expectFinite(op: string, what: string, value: number): void {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new OpError(op, `${what} must be a finite number, got ${value}`);
}

/** Size of an axis that the caller has checked. */
export const dimAt = (x: { readonly shape: Shape }, axis: number): Dim => x.shape[axis < 0 ? x.shape.length + axis : axis] as Dim;

/** NumPy broadcasting; a symbol broadcasts with itself and with 1 only. */
export function broadcast(op: string, shapes: readonly Shape[]): Shape {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out: Dim[] = [];
  for (let back = rank; back >= 1; back--) {
    let size: Dim = 1;
    for (const shape of shapes) {
      const d = shape[shape.length - back];
      if (d === undefined || d === 1 || dimEq(d, size)) continue;
      if (size !== 1) {
        const symbolic = typeof d !== 'number' || typeof size !== 'number';
        throw new OpError(
          op,
          `shapes ${shapes.map(shapeStr).join(' and ')} do not broadcast: axis -${back} is ${size} against ${d}` +
            (symbolic ? '; a symbolic size broadcasts only with the same symbol or 1' : '; sizes must be equal or 1'),
        );
      }
      size = d;
    }
    out.push(size);
  }
  return out;
}

/** Throws unless `shape` broadcasts to exactly `target`. */
export function expectBroadcastsTo(op: string, what: string, shape: Shape, target: Shape): void {
  const offset = target.length - shape.length;
  const ok = offset >= 0 && shape.every((d, i) => d === 1 || dimEq(d, target[i + offset] as Dim));
  if (!ok) throw new OpError(op, `${what} ${shapeStr(shape)} does not broadcast to ${shapeStr(target)}; sizes must be equal or 1`);
}

/** True where a < b holds for all values of the symbols as far as their difference is a number. */
export function surelyLess(a: Dim, b: Dim): boolean {
  const gap = dimSub(b, a);
  return typeof gap === 'number' && gap > 0;
}
