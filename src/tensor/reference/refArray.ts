import { encode, NDArray } from '../array.js';
import { bf16ToF32, type DType, f16ToF32, f32ToBf16, f32ToF16 } from '../dtype.js';
import { OpError, VitroError } from '../errors.js';

/**
 * A value of the reference interpreter: row-major float64 numbers with the dtype that they stand for.
 * Integers and booleans are held as exact numbers; f32 values are not rounded to 24 bits.
 */
export interface RefArray {
  readonly dtype: DType;
  readonly shape: number[];
  readonly data: Float64Array;
}

export const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A RefArray over `data`, which must have the shape's element count. */
export function refArray(dtype: DType, shape: readonly number[], data: Float64Array): RefArray {
  if (data.length !== countOf(shape))
    throw new VitroError(`reference: shape [${shape.join(', ')}] holds ${countOf(shape)} elements, but the data has ${data.length}`);
  return { dtype, shape: [...shape], data };
}

export const refZeros = (dtype: DType, shape: readonly number[]): RefArray => refArray(dtype, shape, new Float64Array(countOf(shape)));

export const refScalar = (dtype: DType, value: number): RefArray => refArray(dtype, [], Float64Array.of(value));

/** Rounds in place to what the dtype can hold: f16 and bf16 to nearest even, integers wrap, f32 stays as it is. */
export function roundTo(dtype: DType, data: Float64Array): Float64Array {
  const n = data.length;
  if (dtype === 'f16') for (let i = 0; i < n; i++) data[i] = f16ToF32(f32ToF16(data[i] as number));
  else if (dtype === 'bf16') for (let i = 0; i < n; i++) data[i] = bf16ToF32(f32ToBf16(data[i] as number));
  else wrapIntegers(dtype, data);
  return data;
}

/**
 * Wraps integer results in place as two's complement (i32, u32, u8); floats are left alone.
 * i64 is only represented up to 2^53: beyond that this throws instead of giving a wrong number.
 */
export function wrapIntegers(dtype: DType, data: Float64Array): Float64Array {
  const n = data.length;
  if (dtype === 'i32') for (let i = 0; i < n; i++) data[i] = (data[i] as number) | 0;
  else if (dtype === 'u32') for (let i = 0; i < n; i++) data[i] = (data[i] as number) >>> 0;
  else if (dtype === 'u8') for (let i = 0; i < n; i++) data[i] = (data[i] as number) & 255;
  else if (dtype === 'i64')
    for (let i = 0; i < n; i++)
      if (!Number.isSafeInteger(data[i]))
        throw new VitroError(`reference: the i64 value ${data[i]} is past 2^53, which float64 cannot hold exactly`);
  return data;
}

/** Reads a host array; f16 and bf16 are decoded, i64 must lie within 2^53. */
export function fromNDArray(a: NDArray): RefArray {
  const { dtype, data } = a;
  const n = data.length;
  const out = new Float64Array(n);
  if (dtype === 'i64') {
    for (let i = 0; i < n; i++) out[i] = Number(data[i]);
    wrapIntegers('i64', out);
  } else if (dtype === 'f16') for (let i = 0; i < n; i++) out[i] = f16ToF32(data[i] as number);
  else if (dtype === 'bf16') for (let i = 0; i < n; i++) out[i] = bf16ToF32(data[i] as number);
  else out.set(data as Float32Array);
  return refArray(dtype, a.shape, out);
}

/** Encodes as a host array of the same dtype; f32 is rounded here. */
export const toNDArray = (a: RefArray): NDArray => new NDArray(a.dtype, a.shape, encode(a.dtype, a.data));

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) out[i] = (out[i + 1] as number) * (shape[i + 1] as number);
  return out;
}

/** For every index of `shape` in row-major order: offset + index . strides. The map behind broadcast, transpose, slice and reduce. */
export function stridedOffsets(shape: readonly number[], strides: readonly number[], offset = 0): Int32Array {
  let out = Int32Array.of(offset);
  shape.forEach((n, axis) => {
    const stride = strides[axis] as number;
    const next = new Int32Array(out.length * n);
    let at = 0;
    for (let i = 0; i < out.length; i++) {
      let value = out[i] as number;
      for (let j = 0; j < n; j++, value += stride) next[at++] = value;
    }
    out = next;
  });
  return out;
}

/** Values at the given flat offsets, as an array of `shape`. */
export function pick(x: RefArray, shape: readonly number[], offsets: Int32Array): RefArray {
  const out = new Float64Array(offsets.length);
  const { data } = x;
  for (let i = 0; i < out.length; i++) out[i] = data[offsets[i] as number] as number;
  return refArray(x.dtype, shape, out);
}

/** Strides that read an array of shape `from` as if broadcast to `to` (NumPy rules). */
export function broadcastStrides(from: readonly number[], to: readonly number[], op: string): number[] {
  const lead = to.length - from.length;
  const strides = stridesOf(from);
  return to.map((n, i) => {
    if (lead < 0) throw new OpError(op, `[${from.join(', ')}] does not broadcast to [${to.join(', ')}]: it has more axes`);
    if (i < lead) return 0;
    const own = from[i - lead];
    if (own !== n && own !== 1) throw new OpError(op, `[${from.join(', ')}] does not broadcast to [${to.join(', ')}]`);
    return own === 1 ? 0 : (strides[i - lead] as number);
  });
}

/** Copy of x broadcast to `shape`; x itself where the shape is x's own. */
export function broadcastRef(x: RefArray, shape: readonly number[], op: string): RefArray {
  if (shape.length === x.shape.length && shape.every((n, i) => n === x.shape[i])) return x;
  return pick(x, shape, stridedOffsets(shape, broadcastStrides(x.shape, shape, op)));
}

/** The common shape of operands under NumPy broadcasting. */
export function broadcastShape(shapes: readonly (readonly number[])[], op: string): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((s) => s[i - rank + s.length] ?? 1);
    const size = sizes.find((n) => n !== 1) ?? 1;
    if (sizes.some((n) => n !== 1 && n !== size))
      throw new OpError(op, `shapes ${shapes.map((s) => `[${s.join(', ')}]`).join(' and ')} do not broadcast`);
    return size;
  });
}

/** [product before axis, size of axis, product after axis]. */
export function splitAxis(shape: readonly number[], axis: number): [outer: number, size: number, inner: number] {
  return [countOf(shape.slice(0, axis)), shape[axis] as number, countOf(shape.slice(axis + 1))];
}
