import { full, type NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { concat } from '../../tensor/ops/slicing.js';

/**
 * Grid quantization of a matrix [m, n] (the method of muon-4bit): in blocks of about 128 x 128 an element is scaled by the smaller of the largest
 * magnitudes in its row and in its column, so that an outlier widens the steps of nothing but itself.
 *   q = round(L x / min(row, column)),   L = 7 at 4 bits, 127 at 8; stored as q + 8 or q + 128
 */
export type Grid<T> = {
  /** u8; at 4 bits [m, ceil(n/2)] with column j in the low half of byte j and column j + ceil(n/2) in the high one, at 8 bits [m, n] */
  readonly packed: T;
  /** f32 [m, blocks of columns]: the largest magnitude of a row within a block */
  readonly row: T;
  /** f32 [blocks of rows, n] */
  readonly column: T;
};

export type GridBits = 4 | 8;

const blockSize = 128;

/** Blocks of an axis: as many as blocks of 128 would be, of equal size; the last may stand out over the end. */
function blocksOf(size: number): { readonly count: number; readonly size: number } {
  const count = Math.ceil(size / blockSize);
  return { count, size: Math.ceil(size / count) };
}

const levels = (bits: GridBits): number => (bits === 4 ? 7 : 127);
const offset = (bits: GridBits): number => (bits === 4 ? 8 : 128);

/** The quantized zero matrix. */
export function zeroGrid([m, n]: readonly [number, number], bits: GridBits): Grid<NDArray> {
  const zero = offset(bits);
  return {
    packed: full([m, bits === 4 ? Math.ceil(n / 2) : n], bits === 4 ? zero + 16 * zero : zero, 'u8'),
    row: full([m, blocksOf(n).count], 0),
    column: full([blocksOf(m).count, n], 0),
  };
}

/** The smaller of row and column maximum for every element, [m, n]. */
function scaleOf({ row, column }: Pick<Grid<Tensor>, 'row' | 'column'>, m: number, n: number): Tensor {
  const [down, across] = [blocksOf(m), blocksOf(n)];
  const widened = row
    .unsqueeze(2)
    .broadcastTo([m, across.count, across.size])
    .reshape([m, across.count * across.size]);
  const lengthened = column
    .unsqueeze(1)
    .broadcastTo([down.count, down.size, n])
    .reshape([down.count * down.size, n]);
  return widened.slice({ 1: [0, n] }).minimum(lengthened.slice({ 0: [0, m] }));
}

/** Largest magnitudes of the rows and columns of every block. */
function maximaOf(x: Tensor, m: number, n: number): Pick<Grid<Tensor>, 'row' | 'column'> {
  const [down, across] = [blocksOf(m), blocksOf(n)];
  const size = x.abs();
  const wide = across.count * across.size === n ? size : size.pad({ 1: [0, across.count * across.size - n] });
  const long = down.count * down.size === m ? size : size.pad({ 0: [0, down.count * down.size - m] });
  return {
    row: wide.reshape([m, across.count, across.size]).max({ axis: 2 }),
    column: long.reshape([down.count, down.size, n]).max({ axis: 1 }),
  };
}

/** Quantizes x [m, n]. */
export function toGrid(x: Tensor, bits: GridBits): Grid<Tensor> {
  const [m, n] = x.shape as [number, number];
  const maxima = maximaOf(x, m, n);
  const scale = scaleOf(maxima, m, n);
  // where the scale is zero, so is x
  const q = x.mul(levels(bits)).div(scale.maximum(1e-38)).round().clip(-levels(bits), levels(bits)).add(offset(bits));
  if (bits === 8) return { packed: q.cast('u8'), ...maxima };
  const half = Math.ceil(n / 2);
  const even = 2 * half === n ? q : q.pad({ 1: [0, 1] });
  const low = even.slice({ 1: [0, half] });
  const high = even.slice({ 1: [half, 2 * half] });
  return { packed: low.add(high.mul(16)).cast('u8'), ...maxima };
}

/** The matrix [m, n] that a quantized one stands for. */
export function fromGrid(grid: Grid<Tensor>, [m, n]: readonly [number, number], bits: GridBits): Tensor {
  const bytes = grid.packed.cast('f32');
  let q = bytes;
  if (bits === 4) {
    const high = bytes.mul(1 / 16).floor();
    q = concat([bytes.sub(high.mul(16)), high], 1).slice({ 1: [0, n] });
  }
  return q
    .sub(offset(bits))
    .mul(scaleOf(grid, m, n))
    .mul(1 / levels(bits));
}
