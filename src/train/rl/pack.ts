import type { Batch } from '../../data/stream/batch.js';
import { batchBuffers, toBatch } from '../../data/stream/batch.js';
import { NDArray } from '../../tensor/array.js';
import { bucketLength } from '../../tensor/compile/bucket.js';
import { VitroError } from '../../tensor/errors.js';
import type { Sequence } from './contract.js';

/** A sequence to be packed. Items of one `unit` stay in one part of the batch. */
export interface PackItem extends Sequence {
  /** 1 where a token is predicted; absent = everywhere */
  readonly actions?: ArrayLike<number>;
  readonly unit: number;
}

/** Where an item stands: its first predicted token is the target of position `offset` of row `row`. */
export interface Placement {
  /** number of the item */
  readonly item: number;
  readonly row: number;
  readonly offset: number;
}

/** One part of a batch: rows of one length with segment ids and positions. */
export interface PackedPart {
  readonly batch: Batch;
  readonly rows: number;
  readonly length: number;
  readonly placements: readonly Placement[];
}

export interface PackOptions {
  /** longest context of the model */
  readonly context: number;
  /** tokens, padding included, that a part holds at most (a longer unit alone counts as one) */
  readonly max_tokens: number;
}

const lengthOf = ({ context, tokens }: Sequence): number => context.length + tokens.length - 1;

/** Multiples of 64 up to 512, of 128 beyond: few lengths are compiled. */
const bucketOf = (longest: number): number => bucketLength(longest, longest <= 512 ? 64 : 128);

/** Length of the rows: room for two of the longest where that is no more than 512, so that little of a row is padding. */
export function rowLength(lengths: readonly number[], context: number): number {
  const bucket = bucketOf(Math.max(...lengths));
  const total = lengths.reduce((a, b) => a + b, 0);
  return Math.min(context, total <= bucket ? bucket : Math.max(bucket, Math.min(512, 2 * bucket)));
}

interface Row {
  used: number;
  readonly items: Placement[];
}

function checkItem({ context, tokens }: Sequence, i: number, most: number): void {
  if (context.length === 0) throw new VitroError(`sequence ${i} has no context; begin it with a bos token`);
  if (context.length + tokens.length - 1 > most)
    throw new VitroError(
      `sequence ${i} has ${context.length} + ${tokens.length} tokens; the model's context is ${most}: shorten prompts or max_completion_length`,
    );
}

/** Distributes sequences over parts and rows, units in order, each item into the fullest row that has room. */
export function packSequences(items: readonly PackItem[], { context, max_tokens }: PackOptions): PackedPart[] {
  for (const [i, item] of items.entries()) checkItem(item, i, context);
  if (items.length === 0) return [];
  const length = rowLength(items.map(lengthOf), context);
  const most = Math.max(1, Math.floor(max_tokens / length));
  const units = new Map<number, number[]>();
  for (const [i, { unit }] of items.entries()) {
    const list = units.get(unit);
    if (list) list.push(i);
    else units.set(unit, [i]);
  }
  const parts: Row[][] = [];
  let open: Row[] = [];
  const place = (rows: Row[], item: number): void => {
    const size = lengthOf(items[item] as PackItem);
    const fitting = rows.filter((r) => r.used + size <= length);
    const row = fitting.reduce<Row | undefined>((best, r) => (!best || r.used > best.used ? r : best), undefined) ?? { used: 0, items: [] };
    if (!rows.includes(row)) rows.push(row);
    row.items.push({ item, row: rows.indexOf(row), offset: row.used + (items[item] as PackItem).context.length - 1 });
    row.used += size;
  };
  for (const unit of units.values()) {
    const trial = open.map((r): Row => ({ used: r.used, items: [...r.items] }));
    for (const item of unit) place(trial, item);
    if (trial.length > most && open.length > 0) {
      parts.push(open);
      open = [];
      for (const item of unit) place(open, item);
    } else open = trial;
  }
  parts.push(open);
  return parts.map((rows) => writePart(items, rows, length, most));
}

/** The number of rows is rounded up to 1, 2, 3, 4, 6, 8, 12, 16, ..., so that few shapes are compiled. */
function rowCount(rows: number, most: number): number {
  const power = 2 ** Math.ceil(Math.log2(rows));
  const rounded = rows <= 0.75 * power ? 0.75 * power : power;
  return Math.max(rows, Math.min(most, Math.ceil(rounded)));
}

function writePart(items: readonly PackItem[], rows: readonly Row[], length: number, most: number): PackedPart {
  const count = rowCount(rows.length, most);
  const buffers = batchBuffers(count, length, true);
  const { inputs, targets, segment_ids, positions } = buffers as Required<typeof buffers>;
  targets.fill(-1);
  for (const [r, row] of rows.entries()) {
    let at = r * length;
    for (const [k, { item }] of row.items.entries()) {
      const { context, tokens, actions } = items[item] as PackItem;
      const size = context.length + tokens.length - 1;
      inputs.set(context, at);
      inputs.set(tokens.subarray(0, -1), at + context.length);
      for (let j = 0; j < tokens.length; j++) if (!actions || actions[j] === 1) targets[at + context.length - 1 + j] = tokens[j] as number;
      segment_ids.fill(k + 1, at, at + size);
      for (let j = 0; j < size; j++) positions[at + j] = j;
      at += size;
    }
  }
  return { batch: toBatch(buffers, count, length), rows: count, length, placements: rows.flatMap((r) => r.items) };
}

/** Values at the predicted tokens of items as an array f32 [rows, length], `fill` elsewhere. */
export function scatterColumn(
  part: PackedPart,
  values: (item: number) => ArrayLike<number> | number | undefined,
  { fill = 0, items }: { readonly fill?: number; readonly items: readonly Sequence[] },
): NDArray {
  const out = new Float32Array(part.rows * part.length).fill(fill);
  for (const { item, row, offset } of part.placements) {
    const own = values(item);
    if (own === undefined) continue;
    const at = row * part.length + offset;
    if (typeof own === 'number') out.fill(own, at, at + (items[item] as Sequence).tokens.length);
    else out.set(own, at);
  }
  return new NDArray('f32', [part.rows, part.length], out);
}

/** The inverse: values [rows, length, ...] at the predicted tokens of each item of the part. */
export function gatherColumn(part: PackedPart, values: NDArray, items: readonly Sequence[], out: Float64Array[]): void {
  const width = values.shape.slice(2).reduce((a, b) => a * b, 1);
  const data = values.data as Float32Array;
  for (const { item, row, offset } of part.placements) {
    const at = (row * part.length + offset) * width;
    out[item] = Float64Array.from(data.subarray(at, at + (items[item] as Sequence).tokens.length * width));
  }
}
