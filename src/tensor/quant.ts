import { allocate, type NDArray } from './array.js';
import { OpError } from './errors.js';

/**
 * A weight matrix [N, K] (output features, input features) quantized in blocks of `blockSize` inputs:
 * value = (q - zero) * scale, with q of `bits` bits. Two 4-bit values share a byte, the earlier in the low nibble. Block b of row n has
 * scales[n * K/blockSize + b]. Zero points, if any, are packed alike, each row starting at a fresh byte; without them, zero = 2^(bits-1).
 * This is the layout of ONNX Runtime's MatMulNBits.
 */
export interface QuantizedBlocks {
  /** u8 [N, K/blockSize, blockSize*bits/8] */
  readonly packed: NDArray;
  /** f32 [N*K/blockSize] */
  readonly scales: NDArray;
  /** u8 [N*ceil(K/blockSize*bits/8)] */
  readonly zeroPoints?: NDArray;
  readonly bits: 4 | 8;
  readonly blockSize: number;
}

export interface QuantizeOptions {
  readonly bits?: 4 | 8;
  /** a power of two of at least 16; default 32 */
  readonly blockSize?: number;
  /** true (default): zero is 2^(bits-1) and the scale is chosen so that the value of largest magnitude is exact; false: the range of each block is covered from minimum to maximum */
  readonly symmetric?: boolean;
}

/** Puts q at position i of a row of packed values that starts at byte `base`. */
function put(bytes: Uint8Array, base: number, i: number, bits: 4 | 8, q: number): void {
  if (bits === 8) bytes[base + i] = q;
  else {
    const at = base + (i >> 1);
    bytes[at] = (bytes[at] as number) | (q << (i & 1 ? 4 : 0));
  }
}

/** Reads position i of a row of packed values that starts at byte `base`. */
function get(bytes: Uint8Array, base: number, i: number, bits: 4 | 8): number {
  if (bits === 8) return bytes[base + i] as number;
  return ((bytes[base + (i >> 1)] as number) >> (i & 1 ? 4 : 0)) & 15;
}

const limit = (q: number, levels: number): number => Math.min(levels - 1, Math.max(0, Math.round(q)));

/** Scale and zero point of one block. */
function blockScale(values: Float32Array, levels: number, symmetric: boolean): [scale: number, zero: number] {
  let low = 0;
  let high = 0;
  for (const v of values) {
    if (!Number.isFinite(v)) return [Number.NaN, 0];
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (symmetric) {
    const extreme = -low > high ? low : high;
    return [extreme === 0 ? 0 : Math.fround(extreme / -(levels / 2)), levels / 2];
  }
  const scale = Math.fround((high - low) / (levels - 1));
  return [scale, scale === 0 ? 0 : limit(-low / scale, levels)];
}

/** Rounds a weight f32 [N, K] to the nearest values of the block format. */
export function quantizeBlocks(weight: NDArray, { bits = 4, blockSize = 32, symmetric = true }: QuantizeOptions = {}): QuantizedBlocks {
  const [n, k] = weight.shape;
  if (weight.dtype !== 'f32' || weight.shape.length !== 2 || n === undefined || k === undefined)
    throw new OpError('quantizeBlocks', `needs a weight f32 [N, K], got ${weight.dtype} [${weight.shape.join(', ')}]`);
  if (bits !== 4 && bits !== 8) throw new OpError('quantizeBlocks', `bits must be 4 or 8, got ${bits}`);
  if (!Number.isInteger(Math.log2(blockSize)) || blockSize < 16)
    throw new OpError('quantizeBlocks', `blockSize must be a power of two of at least 16, got ${blockSize}`);
  if (k % blockSize !== 0)
    throw new OpError('quantizeBlocks', `K = ${k} is no multiple of blockSize ${blockSize}; pad the weight with zeros`);
  const blocks = k / blockSize;
  const blockBytes = (blockSize * bits) / 8;
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const packed = allocate('u8', [n, blocks, blockBytes]);
  const scales = allocate('f32', [n * blocks]);
  const zeroPoints = symmetric ? undefined : allocate('u8', [n * zeroBytes]);
  const [values, bytes, scaleData] = [weight.data as Float32Array, packed.data as Uint8Array, scales.data as Float32Array];
  for (let row = 0; row < n; row++)
    for (let b = 0; b < blocks; b++) {
      const start = row * k + b * blockSize;
      const block = values.subarray(start, start + blockSize);
      const [scale, zero] = blockScale(block, 2 ** bits, symmetric);
      if (!Number.isFinite(scale)) throw new OpError('quantizeBlocks', `row ${row} holds a value that is not finite`);
      scaleData[row * blocks + b] = scale;
      if (zeroPoints) put(zeroPoints.data as Uint8Array, row * zeroBytes, b, bits, zero);
      for (let i = 0; i < blockSize; i++) {
        const q = scale === 0 ? zero : (block[i] as number) / scale + zero;
        put(bytes, (row * blocks + b) * blockBytes, i, bits, limit(q, 2 ** bits));
      }
    }
  return { packed, scales, zeroPoints, bits, blockSize };
}

/** The weight f32 [N, K] that a quantized one stands for. */
export function dequantizeBlocks({ packed, scales, zeroPoints, bits, blockSize }: QuantizedBlocks): NDArray {
  const [n = 0, blocks = 0, blockBytes = 0] = packed.shape;
  const out = allocate('f32', [n, blocks * blockSize]);
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  for (let row = 0; row < n; row++)
    for (let b = 0; b < blocks; b++) {
      const zero = zeroPoints ? get(zeroPoints.data as Uint8Array, row * zeroBytes, b, bits) : 2 ** (bits - 1);
      const scale = scales.data[row * blocks + b] as number;
      for (let i = 0; i < blockSize; i++) {
        const q = get(packed.data as Uint8Array, (row * blocks + b) * blockBytes, i, bits);
        out.data[(row * blocks + b) * blockSize + i] = (q - zero) * scale;
      }
    }
  return out;
}
