import type { TypedArray } from '../../tensor/dtype.js';

/** Side of the square tiles: 16 rows of one cache line of f32 each. */
const tile = 16;

type Words = Uint8Array | Uint16Array | Int32Array | BigInt64Array;

/** The same memory as integers of the element's size, so that elements move bit by bit. */
export function asWords(array: TypedArray): Words {
  const { buffer, byteOffset, length, BYTES_PER_ELEMENT: size } = array;
  if (size === 4) return new Int32Array(buffer, byteOffset, length);
  if (size === 2) return new Uint16Array(buffer, byteOffset, length);
  if (size === 1) return new Uint8Array(buffer, byteOffset, length);
  return new BigInt64Array(buffer, byteOffset, length);
}

/** A matrix inside an array: element (r, c) at offset + r * stride + c. */
export interface Panel {
  readonly data: Words;
  readonly offset: number;
  readonly stride: number;
}

/**
 * target(c, r) = source(r, c) for `rows` x `cols` elements, tile by tile so that both sides stay in the cache.
 * With `rowMap`, source row r goes to target column rowMap[r].
 */
export function transposePanel(source: Panel, target: Panel, rows: number, cols: number, rowMap?: Int32Array): void {
  const from = source.data as Int32Array;
  const to = target.data as Int32Array;
  for (let c0 = 0; c0 < cols; c0 += tile) {
    const c1 = Math.min(cols, c0 + tile);
    for (let r0 = 0; r0 < rows; r0 += tile) {
      const r1 = Math.min(rows, r0 + tile);
      for (let c = c0; c < c1; c++) {
        const base = target.offset + c * target.stride;
        let at = source.offset + r0 * source.stride + c;
        for (let r = r0; r < r1; r++, at += source.stride) to[base + (rowMap ? (rowMap[r] as number) : r)] = from[at] as number;
      }
    }
  }
}
