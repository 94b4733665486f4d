import { type DType, dtypeInfo, f16ToF32, f32ToF16, type TypedArray } from '../../tensor/dtype.js';
import { VitroError } from '../../tensor/errors.js';
import type { FloatDType } from './tensorSource.js';

/** Puts n elements from the start of `source` (bytes as in the file, aligned to the element) into `target`. */
export type Convert = (source: TypedArray, target: TypedArray, n: number) => void;

/** How a format's element type stands in the file. Files and hosts are little-endian. */
export interface Codec {
  /** the format's name for it */
  readonly name: string;
  /** elements that are coded together, and the bytes that they take */
  readonly blockElements: number;
  readonly blockBytes: number;
  /** the engine's dtype with the same bytes, if there is one */
  readonly same?: DType;
  /** set for integers and booleans: the dtype that they are always read as */
  readonly integer?: DType;
  /** to f32, or to `integer` for integers that the engine lacks */
  readonly decode?: Convert;
}

const plain = (name: string, same: DType, integer: boolean, decode?: Convert): Codec => ({
  name,
  blockElements: 1,
  blockBytes: dtypeInfo[same].bytes,
  same,
  integer: integer ? same : undefined,
  decode,
});

const words = (array: TypedArray): Int32Array => new Int32Array(array.buffer, array.byteOffset, array.byteLength >> 2);
const halves = (array: TypedArray): Uint16Array => new Uint16Array(array.buffer, array.byteOffset, array.byteLength >> 1);

let f16Table: Float32Array<ArrayBuffer> | undefined;

/** The value of every binary16, made at first use. */
export function f16Values(): Float32Array<ArrayBuffer> {
  f16Table ??= Float32Array.from({ length: 1 << 16 }, (_, i) => f16ToF32(i));
  return f16Table;
}

/** f16 to f32; n elements. */
export const decodeF16: Convert = (source, target, n) => {
  const table = new Int32Array(f16Values().buffer);
  const from = halves(source);
  const to = words(target);
  for (let i = 0; i < n; i++) to[i] = table[from[i] as number] as number;
};

/** bf16 to f32; n elements. */
export const decodeBF16: Convert = (source, target, n) => {
  const from = halves(source);
  const to = words(target);
  for (let i = 0; i < n; i++) to[i] = (from[i] as number) << 16;
};

const decodeF32: Convert = (source, target, n) => {
  words(target).set(words(source).subarray(0, n));
};

const widen =
  (view: (bytes: TypedArray, n: number) => ArrayLike<number>): Convert =>
  (source, target, n) => {
    (target as Float32Array).set(view(source, n));
  };

export const codecs = {
  F32: plain('F32', 'f32', false, decodeF32),
  F16: plain('F16', 'f16', false, decodeF16),
  BF16: plain('BF16', 'bf16', false, decodeBF16),
  F64: { name: 'F64', blockElements: 1, blockBytes: 8, decode: widen((b, n) => new Float64Array(b.buffer, b.byteOffset, n)) },
  I64: plain('I64', 'i64', true),
  I32: plain('I32', 'i32', true),
  U32: plain('U32', 'u32', true),
  U8: plain('U8', 'u8', true),
  BOOL: plain('BOOL', 'bool', true),
  I8: { name: 'I8', blockElements: 1, blockBytes: 1, integer: 'i32', decode: widen((b, n) => new Int8Array(b.buffer, b.byteOffset, n)) },
  I16: { name: 'I16', blockElements: 1, blockBytes: 2, integer: 'i32', decode: widen((b, n) => new Int16Array(b.buffer, b.byteOffset, n)) },
  U16: {
    name: 'U16',
    blockElements: 1,
    blockBytes: 2,
    integer: 'i32',
    decode: widen((b, n) => new Uint16Array(b.buffer, b.byteOffset, n)),
  },
} as const satisfies Readonly<Record<string, Codec>>;

/** f32 to bf16 by rounding to nearest even; NaN stays NaN. */
function encodeBF16(source: Float32Array, target: Uint16Array, n: number): void {
  const bits = words(source);
  for (let i = 0; i < n; i++) {
    const b = bits[i] as number;
    target[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
}

/** f32 to f16 by rounding to nearest even. */
function encodeF16(source: Float32Array, target: Uint16Array, n: number): void {
  const bits = words(source);
  for (let i = 0; i < n; i++) {
    const b = bits[i] as number;
    const exponent = (b >>> 23) & 0xff;
    // normal results take the short way; subnormals, overflow and NaN the engine's
    if (exponent > 112 && exponent < 142)
      target[i] = ((b >>> 16) & 0x8000) | (((b & 0x7fffffff) - 0x38000000 + 0xfff + ((b >>> 13) & 1)) >>> 13);
    else target[i] = f32ToF16(source[i] as number);
  }
}

/** Encodes n f32 values as a floating-point dtype. */
export function encodeFloats(source: Float32Array, dtype: FloatDType, target: TypedArray, n: number): void {
  if (dtype === 'f32') (target as Float32Array).set(source.subarray(0, n));
  else if (dtype === 'bf16') encodeBF16(source, target as Uint16Array, n);
  else encodeF16(source, target as Uint16Array, n);
}

/** Decodes n values of an engine's floating-point array, from `start` on, to f32. */
export function decodeFloats(source: TypedArray, dtype: DType, start: number, n: number, target: Float32Array): void {
  const part = (source as Uint16Array).subarray(start, start + n);
  if (dtype === 'f32') target.set(part);
  else if (dtype === 'f16') decodeF16(part, target, n);
  else if (dtype === 'bf16') decodeBF16(part, target, n);
  else throw new VitroError(`decodeFloats: ${dtype} is no floating-point dtype`);
}

/** How to read a codec as `wanted` floats: the dtype of the result and the conversion, undefined where the bytes are taken as they are. */
export function reading(codec: Codec, wanted: FloatDType): { dtype: DType; convert?: Convert } {
  if (codec.integer) return { dtype: codec.integer, convert: codec.same ? undefined : codec.decode };
  if (codec.same === wanted) return { dtype: wanted };
  const decode = codec.decode;
  if (!decode) throw new VitroError(`tensors of type ${codec.name} cannot be read`);
  if (wanted === 'f32') return { dtype: 'f32', convert: decode };
  let scratch = new Float32Array(0);
  return {
    dtype: wanted,
    convert: (source, target, n) => {
      if (scratch.length < n) scratch = new Float32Array(n);
      decode(source, scratch, n);
      encodeFloats(scratch, wanted, target, n);
    },
  };
}
