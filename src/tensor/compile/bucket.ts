import { allocate, encode, type NDArray } from '../array.js';
import { OpError } from '../errors.js';

/** The smallest multiple of `multiple` that holds `length`; one compiled function then serves every length of a bucket. */
export function bucketLength(length: number, multiple = 128): number {
  if (!Number.isInteger(length) || length < 0) throw new OpError('bucketLength', `length ${length}; lengths are non-negative integers`);
  if (!Number.isInteger(multiple) || multiple < 1) throw new OpError('bucketLength', `multiple ${multiple}; use a positive integer`);
  return Math.max(multiple, Math.ceil(length / multiple) * multiple);
}

/** Pads one axis of a host array at its end to its bucket; the true length is for masks and for normalising by true counts. */
export function padToBucket(
  x: NDArray,
  axis: number,
  options: { multiple?: number; value?: number } = {},
): { array: NDArray; length: number } {
  const length = x.shape[axis];
  if (length === undefined) throw new OpError('padToBucket', `axis ${axis} of an array of shape [${x.shape.join(', ')}]`);
  const padded = bucketLength(length, options.multiple);
  if (padded === length) return { array: x, length };
  const out = allocate(
    x.dtype,
    x.shape.map((d, i) => (i === axis ? padded : d)),
  );
  const target = out.data as Float32Array;
  if (options.value) target.fill(encode(x.dtype, [options.value])[0] as number);
  const inner = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = x.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const source = x.data as Float32Array;
  for (let o = 0; o < outer; o++) target.set(source.subarray(o * length * inner, (o + 1) * length * inner), o * padded * inner);
  return { array: out, length };
}
