import { f32ToF16, type TypedArray } from '../../tensor/dtype.js';
import { VitroError } from '../../tensor/errors.js';
import { type Convert, f16Values } from './codec.js';

/**
 * Block formats of ggml (ggml-common.h gives the structs). A block of 32 has one f16 scale d, some a minimum m; a k-block of 256 has
 * 8 or 16 sub-blocks whose small integer scales multiply d. All arithmetic is in float32, each operation rounded, as in ggml's C.
 */
type Block = (bytes: Uint8Array, at: number, out: Float32Array, to: number, f16: Float32Array) => void;

const { fround } = Math;
const byte = (bytes: Uint8Array, i: number): number => bytes[i] as number;
const half = (bytes: Uint8Array, i: number, f16: Float32Array): number => f16[byte(bytes, i) | (byte(bytes, i + 1) << 8)] as number;
const signed = (b: number): number => (b << 24) >> 24;

/** Runs a block decoder over n values. */
const blocks =
  (size: number, bytesEach: number, decode: Block): Convert =>
  (source, target, n) => {
    const f16 = f16Values();
    const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    for (let b = 0; b * size < n; b++) decode(bytes, b * bytesEach, target as Float32Array, b * size, f16);
  };

/** d, then 16 bytes: value i in the low nibble of byte i, value i + 16 in the high one; 8 is zero. */
const q4_0: Block = (x, at, out, to, f16) => {
  const d = half(x, at, f16);
  for (let i = 0; i < 16; i++) {
    const q = byte(x, at + 2 + i);
    out[to + i] = ((q & 15) - 8) * d;
    out[to + i + 16] = ((q >> 4) - 8) * d;
  }
};

/** As q4_0, with a minimum: q d + m. */
const q4_1: Block = (x, at, out, to, f16) => {
  const d = half(x, at, f16);
  const m = half(x, at + 2, f16);
  for (let i = 0; i < 16; i++) {
    const q = byte(x, at + 4 + i);
    out[to + i] = fround((q & 15) * d) + m;
    out[to + i + 16] = fround((q >> 4) * d) + m;
  }
};

/** Four low bits as in q4_0; the fifth bit of value i is bit i of 32; 16 is zero. */
const q5_0: Block = (x, at, out, to, f16) => {
  const d = half(x, at, f16);
  for (let i = 0; i < 16; i++) {
    const q = byte(x, at + 6 + i);
    const low = (byte(x, at + 2 + (i >> 3)) >> (i & 7)) & 1;
    const high = (byte(x, at + 4 + (i >> 3)) >> (i & 7)) & 1;
    out[to + i] = ((q & 15) + 16 * low - 16) * d;
    out[to + i + 16] = ((q >> 4) + 16 * high - 16) * d;
  }
};

const q5_1: Block = (x, at, out, to, f16) => {
  const d = half(x, at, f16);
  const m = half(x, at + 2, f16);
  for (let i = 0; i < 16; i++) {
    const q = byte(x, at + 8 + i);
    const low = (byte(x, at + 4 + (i >> 3)) >> (i & 7)) & 1;
    const high = (byte(x, at + 6 + (i >> 3)) >> (i & 7)) & 1;
    out[to + i] = fround(((q & 15) + 16 * low) * d) + m;
    out[to + i + 16] = fround(((q >> 4) + 16 * high) * d) + m;
  }
};

/** d, then 32 signed bytes. */
const q8_0: Block = (x, at, out, to, f16) => {
  const d = half(x, at, f16);
  for (let i = 0; i < 32; i++) out[to + i] = signed(byte(x, at + 2 + i)) * d;
};

/**
 * Six-bit scale (offset 0) or minimum (offset 4) of sub-block j out of 12 bytes: the first four of each kind fill the low bits of 8 bytes,
 * the others have their low nibble in the last 4 bytes and their top two bits on top of the first.
 */
function sixBits(x: Uint8Array, at: number, j: number, offset: 0 | 4): number {
  if (j < 4) return byte(x, at + j + offset) & 63;
  const low = byte(x, at + j + 4) >> offset;
  return (low & 15) | ((byte(x, at + j - 4 + offset) >> 6) << 4);
}

/** d, the minima's scale, 12 bytes of sub-block scales, then 4 bits a value: 64 values share 32 bytes, the first 32 in the low nibbles. */
const q4_k: Block = (x, at, out, to, f16) => {
  const d = half(x, at, f16);
  const least = half(x, at + 2, f16);
  for (let j = 0; j < 8; j++) {
    const scale = fround(d * sixBits(x, at + 4, j, 0));
    const min = fround(least * sixBits(x, at + 4, j, 4));
    const from = at + 16 + (j >> 1) * 32;
    const shift = (j & 1) * 4;
    for (let i = 0; i < 32; i++) out[to + j * 32 + i] = fround(scale * ((byte(x, from + i) >> shift) & 15)) - min;
  }
};

/** As q4_k, with 32 bytes of fifth bits: bit j of byte i belongs to value i of sub-block j. */
const q5_k: Block = (x, at, out, to, f16) => {
  const d = half(x, at, f16);
  const least = half(x, at + 2, f16);
  for (let j = 0; j < 8; j++) {
    const scale = fround(d * sixBits(x, at + 4, j, 0));
    const min = fround(least * sixBits(x, at + 4, j, 4));
    const from = at + 48 + (j >> 1) * 32;
    const shift = (j & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const q = ((byte(x, from + i) >> shift) & 15) | (((byte(x, at + 16 + i) >> j) & 1) << 4);
      out[to + j * 32 + i] = fround(scale * q) - min;
    }
  }
};

/** 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, d; 32 is zero. Each half of 128 values interleaves four runs of 32. */
const q6_k: Block = (x, at, out, to, f16) => {
  const d = half(x, at + 208, f16);
  for (let run = 0; run < 8; run++) {
    const part = run >> 2;
    const lane = run & 3;
    const low = at + part * 64 + (lane & 1) * 32;
    const top = at + 128 + part * 32;
    for (let i = 0; i < 32; i++) {
      const q = ((byte(x, low + i) >> (lane & 2 ? 4 : 0)) & 15) | (((byte(x, top + i) >> (2 * lane)) & 3) << 4);
      const scale = fround(d * signed(byte(x, at + 192 + run * 2 + (i >> 4))));
      out[to + run * 32 + i] = scale * (q - 32);
    }
  }
};

/** Decoders to f32 by the name of the type. */
export const dequantizers: Readonly<Record<string, Convert>> = {
  Q4_0: blocks(32, 18, q4_0),
  Q4_1: blocks(32, 20, q4_1),
  Q5_0: blocks(32, 22, q5_0),
  Q5_1: blocks(32, 24, q5_1),
  Q8_0: blocks(32, 34, q8_0),
  Q4_K: blocks(256, 144, q4_k),
  Q5_K: blocks(256, 176, q5_k),
  Q6_K: blocks(256, 210, q6_k),
};

/** The value of largest magnitude (the first of equals), with its sign. */
function extreme(values: Float32Array, at: number): number {
  let best = 0;
  for (let i = at; i < at + 32; i++) {
    const v = values[i] as number;
    if (!Number.isFinite(v)) throw new VitroError(`cannot quantize the value ${v}; weights must be finite`);
    if (Math.abs(v) > Math.abs(best)) best = v;
  }
  return best;
}

/** Stores a block's scale and returns its float32 inverse, 0 for a block of zeros. */
function putScale(d: number, out: Uint8Array, to: number): number {
  const bits = f32ToF16(d);
  out[to] = bits & 255;
  out[to + 1] = bits >> 8;
  return d === 0 ? 0 : fround(1 / d);
}

/** Blocks of 32 signed bytes: d = max|x| / 127, q = round(x / d), halves away from zero. */
function quantizeQ8_0(values: Float32Array, n: number, out: Uint8Array): void {
  for (let b = 0; b * 32 < n; b++) {
    const inverse = putScale(fround(Math.abs(extreme(values, b * 32)) / 127), out, b * 34);
    for (let i = 0; i < 32; i++) {
      const v = fround((values[b * 32 + i] as number) * inverse);
      out[b * 34 + 2 + i] = v < 0 ? -Math.floor(0.5 - v) : Math.floor(v + 0.5);
    }
  }
}

/** Blocks of 32 nibbles: the extreme value becomes -8, so d = extreme / -8 and q = floor(x / d + 8.5), at most 15. */
function quantizeQ4_0(values: Float32Array, n: number, out: Uint8Array): void {
  for (let b = 0; b * 32 < n; b++) {
    const inverse = putScale(fround(extreme(values, b * 32) / -8), out, b * 18);
    const q = (i: number): number => Math.min(15, Math.trunc(fround(fround((values[b * 32 + i] as number) * inverse) + 8.5)));
    for (let i = 0; i < 16; i++) out[b * 18 + 2 + i] = q(i) | (q(i + 16) << 4);
  }
}

export type QuantizedType = 'Q8_0' | 'Q4_0';

/** Quantizes n f32 values, a multiple of 32, as ggml's reference quantizers do. */
export function quantizeBlocksAs(type: QuantizedType, values: Float32Array, n: number): Uint8Array {
  const out = new Uint8Array((n / 32) * (type === 'Q8_0' ? 34 : 18));
  (type === 'Q8_0' ? quantizeQ8_0 : quantizeQ4_0)(values, n, out);
  return out;
}

/** f32 values of quantized bytes. */
export function dequantizeBytes(type: string, bytes: TypedArray, n: number): Float32Array {
  const decode = dequantizers[type];
  if (!decode) throw new VitroError(`dequantizeBytes: no decoder for ${type}; there are ${Object.keys(dequantizers).join(', ')}`);
  const out = new Float32Array(n);
  decode(bytes, out, n);
  return out;
}
