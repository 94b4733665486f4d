import type { KvCache } from '../models/decoder/cached.js';
import type { TokenResult } from '../models/decoder/decodeToken.js';
import { NDArray } from '../tensor/array.js';

/** What a step makes of a cache: the cache with the new rows, in the same memory, or the rows alone, [B, H, 1, d] in each layer. */
export type KvUpdate<T> = Pick<TokenResult<T>, 'cache' | 'rows'>;

/** Keys or values of one layer: memory for [rows, H, C, d], of which the first C = `capacity` tokens of each head are in use. */
interface Part {
  readonly values: Float32Array;
  readonly heads: number;
  readonly size: number;
}

interface Layer {
  readonly k: Part;
  readonly v: Part;
}

const partOf = ({ data, shape: [, heads, , size] }: NDArray): Part => ({
  values: data as Float32Array,
  heads: heads as number,
  size: size as number,
});

/**
 * The caches of rows that are being generated, kept on the host in memory that compiled steps read where it lies. The capacity grows with the
 * longest row, so that steps read no more than they must.
 */
export class KvRows {
  readonly #layers: readonly Layer[];
  readonly #rows: number;
  readonly #most: number;
  #capacity = 0;
  #view: { readonly rows: number; readonly capacity: number; readonly cache: KvCache<NDArray> } | undefined;

  /** Takes over the memory of a cache for so many rows and tokens. */
  constructor(whole: KvCache<NDArray>) {
    this.#layers = whole.map(({ k, v }) => ({ k: partOf(k), v: partOf(v) }));
    const shape = whole[0]?.k.shape ?? [];
    this.#rows = shape[0] ?? 0;
    this.#most = shape[2] ?? 0;
  }

  fits(rows: number, capacity: number): boolean {
    return rows === this.#rows && capacity === this.#most;
  }

  /** Sets the capacity; contents are kept where it grows. */
  resize(capacity: number): void {
    const from = this.#capacity;
    this.#capacity = capacity;
    if (capacity <= from) return;
    for (const { values, heads, size } of this.#parts())
      for (let i = this.#rows * heads - 1; i > 0; i--) values.copyWithin(i * capacity * size, i * from * size, (i + 1) * from * size);
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** The first `rows` rows as arguments of a step, without a copy. */
  view(rows: number): KvCache<NDArray> {
    const capacity = this.#capacity;
    if (this.#view?.rows === rows && this.#view.capacity === capacity) return this.#view.cache;
    const of = ({ values, heads, size }: Part): NDArray =>
      new NDArray('f32', [rows, heads, capacity, size], values.subarray(0, rows * heads * capacity * size));
    const cache = this.#layers.map(({ k, v }) => ({ k: of(k), v: of(v) }));
    this.#view = { rows, capacity, cache };
    return cache;
  }

  /** Copies the first `length` tokens of row `from` of another cache into row `row`. */
  fill(row: number, source: KvCache<NDArray>, from: number, length: number): void {
    this.#layers.forEach((layer, i) => {
      const other = source[i] as KvCache<NDArray>[number];
      copyTokens(other.k, from, layer.k, row, this.#capacity, length);
      copyTokens(other.v, from, layer.v, row, this.#capacity, length);
    });
  }

  /** Takes over what a step made of the first rows, whose new tokens stand at these places. */
  append({ cache, rows }: KvUpdate<NDArray>, places: ArrayLike<number>): void {
    rows.forEach(({ k, v }, i) => {
      const layer = this.#layers[i] as Layer;
      writeTokens(k.data as Float32Array, layer.k, this.#capacity, places);
      writeTokens(v.data as Float32Array, layer.v, this.#capacity, places);
    });
    cache.forEach(({ k, v }, i) => {
      const layer = this.#layers[i] as Layer;
      keep(k, layer.k);
      keep(v, layer.v);
    });
  }

  /** Copies a whole row over another. */
  move(from: number, to: number): void {
    for (const { values, heads, size } of this.#parts()) {
      const row = heads * this.#capacity * size;
      values.copyWithin(to * row, from * row, (from + 1) * row);
    }
  }

  #parts(): Part[] {
    return this.#layers.flatMap(({ k, v }) => [k, v]);
  }
}

/** A step writes where it reads unless that cannot be proved safe (see compile's `update`). */
function keep({ data }: NDArray, { values }: Part): void {
  if (data.buffer !== values.buffer) values.set(data as Float32Array);
}

function copyTokens(source: NDArray, from: number, target: Part, to: number, room: number, length: number): void {
  const [, heads, capacity, size] = source.shape as [number, number, number, number];
  const values = source.data as Float32Array;
  for (let h = 0; h < heads; h++) {
    const start = (from * heads + h) * capacity * size;
    target.values.set(values.subarray(start, start + length * size), (to * heads + h) * room * size);
  }
}

/** Plain loops: for rows this short they are faster than copies of ranges. */
function writeTokens(source: Float32Array, { values, heads, size }: Part, capacity: number, places: ArrayLike<number>): void {
  let at = 0;
  for (let b = 0; b < places.length; b++)
    for (let h = 0; h < heads; h++) {
      let into = ((b * heads + h) * capacity + (places[b] as number)) * size;
      for (const end = into + size; into < end; ) values[into++] = source[at++] as number;
    }
}
