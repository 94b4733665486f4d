import { type Codec, codecs } from './codec.js';
import { dequantizers } from './ggufQuants.js';

/** Types of metadata values, in the order of their codes (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). */
export const ggufValueTypes = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const;

export type GgufValueType = (typeof ggufValueTypes)[number];
export type GgufNumberType = Exclude<GgufValueType, 'bool' | 'string' | 'array'>;

export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** One metadata value with its type, so that what was read can be written again. Arrays of numbers are typed arrays when read. */
export type GgufField =
  | { readonly type: GgufNumberType; readonly value: number | bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly of: GgufNumberType; readonly value: GgufNumbers | readonly (number | bigint)[] }
  | { readonly type: 'array'; readonly of: 'bool'; readonly value: readonly boolean[] }
  | { readonly type: 'array'; readonly of: 'string'; readonly value: readonly string[] }
  | { readonly type: 'array'; readonly of: 'array'; readonly value: readonly GgufField[] };

/** Bytes and typed array of each type of number. */
export const ggufNumbers: Readonly<
  Record<GgufNumberType, { readonly bytes: number; readonly view: (buffer: ArrayBuffer) => GgufNumbers }>
> = {
  u8: { bytes: 1, view: (b) => new Uint8Array(b) },
  i8: { bytes: 1, view: (b) => new Int8Array(b) },
  u16: { bytes: 2, view: (b) => new Uint16Array(b) },
  i16: { bytes: 2, view: (b) => new Int16Array(b) },
  u32: { bytes: 4, view: (b) => new Uint32Array(b) },
  i32: { bytes: 4, view: (b) => new Int32Array(b) },
  f32: { bytes: 4, view: (b) => new Float32Array(b) },
  f64: { bytes: 8, view: (b) => new Float64Array(b) },
  u64: { bytes: 8, view: (b) => new BigUint64Array(b) },
  i64: { bytes: 8, view: (b) => new BigInt64Array(b) },
};

/** A value without its type: what a reader of the metadata wants. Integers past 2^53 are bigints. */
export function plainValue(field: GgufField): unknown {
  return field.type === 'array' && field.of === 'array' ? field.value.map(plainValue) : field.value;
}

const block = (name: string, blockElements: number, blockBytes: number): Codec => ({
  name,
  blockElements,
  blockBytes,
  decode: dequantizers[name],
});

/** Element types of tensors by their codes. Those without a decoder can be listed, not read. */
export const ggmlTypes: ReadonlyMap<number, Codec> = new Map([
  [0, codecs.F32],
  [1, codecs.F16],
  [2, block('Q4_0', 32, 18)],
  [3, block('Q4_1', 32, 20)],
  [6, block('Q5_0', 32, 22)],
  [7, block('Q5_1', 32, 24)],
  [8, block('Q8_0', 32, 34)],
  [10, block('Q2_K', 256, 84)],
  [11, block('Q3_K', 256, 110)],
  [12, block('Q4_K', 256, 144)],
  [13, block('Q5_K', 256, 176)],
  [14, block('Q6_K', 256, 210)],
  [16, block('IQ2_XXS', 256, 66)],
  [17, block('IQ2_XS', 256, 74)],
  [18, block('IQ3_XXS', 256, 98)],
  [19, block('IQ1_S', 256, 50)],
  [20, block('IQ4_NL', 32, 18)],
  [21, block('IQ3_S', 256, 110)],
  [22, block('IQ2_S', 256, 82)],
  [23, block('IQ4_XS', 256, 136)],
  [24, codecs.I8],
  [25, codecs.I16],
  [26, codecs.I32],
  [27, codecs.I64],
  [28, codecs.F64],
  [29, block('IQ1_M', 256, 56)],
  [30, codecs.BF16],
  [34, block('TQ1_0', 256, 54)],
  [35, block('TQ2_0', 256, 66)],
  [39, block('MXFP4', 32, 17)],
]);

/** Code of an element type that Vitro writes. */
export const ggmlTypeCode = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8, I32: 26, BF16: 30 } as const;

export type GgufTensorType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0';
