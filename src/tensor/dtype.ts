import { VitroError } from './errors.js';

/**
 * Element types. f16 and bf16 are storage types (cast to f32 before arithmetic); u32 serves the random generator;
 * packed 4- and 8-bit weights are u8.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'i64' | 'u32' | 'u8' | 'bool';

export type TypedArray =
  | Float32Array<ArrayBufferLike>
  | Uint16Array<ArrayBufferLike>
  | Int32Array<ArrayBufferLike>
  | BigInt64Array<ArrayBufferLike>
  | Uint32Array<ArrayBufferLike>
  | Uint8Array<ArrayBufferLike>;

interface DTypeInfo {
  readonly bytes: number;
  readonly onnx: number;
  readonly ortName: string;
  readonly create: (buffer: ArrayBufferLike, byteOffset: number, length: number) => TypedArray;
}

/** Size, ONNX TensorProto.DataType, onnxruntime's JavaScript name and the typed array of each dtype. */
export const dtypeInfo: Readonly<Record<DType, DTypeInfo>> = {
  f32: { bytes: 4, onnx: 1, ortName: 'float32', create: (b, o, n) => new Float32Array(b, o, n) },
  f16: { bytes: 2, onnx: 10, ortName: 'float16', create: (b, o, n) => new Uint16Array(b, o, n) },
  bf16: { bytes: 2, onnx: 16, ortName: 'bfloat16', create: (b, o, n) => new Uint16Array(b, o, n) },
  i32: { bytes: 4, onnx: 6, ortName: 'int32', create: (b, o, n) => new Int32Array(b, o, n) },
  i64: { bytes: 8, onnx: 7, ortName: 'int64', create: (b, o, n) => new BigInt64Array(b, o, n) },
  u32: { bytes: 4, onnx: 12, ortName: 'uint32', create: (b, o, n) => new Uint32Array(b, o, n) },
  u8: { bytes: 1, onnx: 2, ortName: 'uint8', create: (b, o, n) => new Uint8Array(b, o, n) },
  bool: { bytes: 1, onnx: 9, ortName: 'bool', create: (b, o, n) => new Uint8Array(b, o, n) },
};

export const dtypes = Object.keys(dtypeInfo) as readonly DType[];

export const isFloat = (dtype: DType): boolean => dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
export const isInteger = (dtype: DType): boolean => dtype === 'i32' || dtype === 'i64' || dtype === 'u32' || dtype === 'u8';

/** The dtype of a typed array (Uint16Array is ambiguous: read as f16; Uint8Array as u8). */
export function dtypeOf(data: TypedArray): DType {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof BigInt64Array) return 'i64';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Uint16Array) return 'f16';
  throw new VitroError(`no dtype for ${Object.prototype.toString.call(data)}; use a typed array that a dtype names`);
}

const scratch = new DataView(new ArrayBuffer(4));

/** IEEE binary16 bits of x, round to nearest even. */
export function f32ToF16(x: number): number {
  scratch.setFloat32(0, x);
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const mantissa = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
  const e = exponent - 112;
  if (e >= 31) return sign | 0x7c00;
  if (e <= 0) {
    if (e < -10) return sign;
    const full = mantissa | 0x800000;
    const shift = 14 - e;
    const half = full >>> shift;
    const rest = full & ((1 << shift) - 1);
    const tie = 1 << (shift - 1);
    return sign | (half + (rest > tie || (rest === tie && half & 1) ? 1 : 0));
  }
  const half = (e << 10) | (mantissa >>> 13);
  const rest = mantissa & 0x1fff;
  return sign | (half + (rest > 0x1000 || (rest === 0x1000 && half & 1) ? 1 : 0));
}

/** Value of IEEE binary16 bits. */
export function f16ToF32(h: number): number {
  const sign = h & 0x8000 ? -1 : 1;
  const e = (h >>> 10) & 31;
  const m = h & 0x3ff;
  if (e === 0) return sign * m * 2 ** -24;
  if (e === 31) return m ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + m / 1024) * 2 ** (e - 15);
}

/** bfloat16 bits of x, round to nearest even. */
export function f32ToBf16(x: number): number {
  scratch.setFloat32(0, x);
  const bits = scratch.getUint32(0);
  if (Number.isNaN(x)) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Value of bfloat16 bits. */
export function bf16ToF32(b: number): number {
  scratch.setUint32(0, (b << 16) >>> 0);
  return scratch.getFloat32(0);
}
