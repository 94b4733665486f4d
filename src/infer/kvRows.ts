import type { KvCache } from '../models/decoder/cached.js';
import { NDArray } from '../tensor/array.js';

type Layer = KvCache<NDArray>[number];
const parts = ['k', 'v'] as const;

/** Values of a cache part [B, H, C, d] as numbers, and the values of one row. */
const flat = (x: NDArray): Float32Array => x.data as Float32Array;
const rowSize = ({ shape }: NDArray): number => (shape[1] as number) * (shape[2] as number) * (shape[3] as number);

/** The cache of the rows that are being generated: rows are filled from prompts, moved and dropped on the host, in the memory that the graph writes. */
export class KvRows {
  #cache: KvCache<NDArray>;

  constructor(readonly whole: KvCache<NDArray>) {
    this.#cache = whole;
  }

  /** The first `rows` rows, without a copy. A compiled function that takes them over gives them back to `replace`. */
  take(rows: number): KvCache<NDArray> {
    const first = (x: NDArray): NDArray => new NDArray('f32', [rows, ...x.shape.slice(1)], flat(x).subarray(0, rows * rowSize(x)));
    return this.#cache.map(({ k, v }) => ({ k: first(k), v: first(v) }));
  }

  /** Goes on with what a step returned: the same memory where it wrote in place. The number of rows never grows. */
  replace(cache: KvCache<NDArray>): void {
    this.#cache = cache;
  }

  /** Copies the first `length` tokens of row `from` of another cache into row `row`. */
  fill(row: number, source: KvCache<NDArray>, from: number, length: number): void {
    source.forEach((layer, i) => {
      for (const part of parts) copyPrefix(layer[part], from, (this.#cache[i] as Layer)[part], row, length);
    });
  }

  /** Copies a whole row over another. */
  move(from: number, to: number): void {
    for (const layer of this.#cache)
      for (const part of parts) {
        const size = rowSize(layer[part]);
        flat(layer[part]).copyWithin(to * size, from * size, (from + 1) * size);
      }
  }
}

function copyPrefix(source: NDArray, from: number, target: NDArray, to: number, length: number): void {
  const [, heads, capacity, size] = source.shape as [number, number, number, number];
  const [into, room] = [flat(target), target.shape[2] as number];
  const values = flat(source);
  for (let h = 0; h < heads; h++) {
    const start = (from * heads + h) * capacity * size;
    into.set(values.subarray(start, start + length * size), (to * heads + h) * room * size);
  }
}
