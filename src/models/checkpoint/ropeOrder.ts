import { allocate, type NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';

/*
 * Rotary positions turn pairs of coordinates of a head. Hugging Face pairs coordinate j with j + d/2 (half-split), llama2.c and GGUF's
 * llama architecture pair 2j with 2j + 1 (interleaved). The two agree when the rows of the query and key projections are reordered
 * within each head: interleaved row 2j + s is half-split row s d/2 + j, s in {0, 1}.
 */

/** For every interleaved row of `heads` heads, its half-split row: out[heads d]. */
export function halfSplitRows(rows: number, heads: number): Int32Array {
  const d = rows / heads;
  if (!Number.isInteger(d) || d % 2 !== 0)
    throw new VitroError(`rotary rows: ${rows} rows do not split into ${heads} heads of an even size`);
  return Int32Array.from({ length: rows }, (_, row) => {
    const i = row % d;
    return row - i + (i & 1) * (d / 2) + (i >> 1);
  });
}

function reordered(weight: NDArray, heads: number, inverse: boolean): NDArray {
  const rows = weight.shape[0];
  if (rows === undefined) throw new VitroError('rotary rows: a scalar has no rows');
  const map = halfSplitRows(rows, heads);
  const out = allocate(weight.dtype, weight.shape);
  const width = rows === 0 ? 0 : weight.size / rows;
  const from = weight.data as Float32Array;
  const to = out.data as Float32Array;
  for (let row = 0; row < rows; row++) {
    const half = map[row] as number;
    const [source, target] = inverse ? [row, half] : [half, row];
    to.set(from.subarray(source * width, (source + 1) * width), target * width);
  }
  return out;
}

/** Rows of a query or key weight [heads d, in] (or bias [heads d]) from Hugging Face's half-split order to GGUF's interleaved one. */
export const permuteForGguf = (weight: NDArray, heads: number): NDArray => reordered(weight, heads, false);

/** The inverse of permuteForGguf. */
export const unpermuteFromGguf = (weight: NDArray, heads: number): NDArray => reordered(weight, heads, true);
