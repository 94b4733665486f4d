import { z } from 'zod';
import { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn } from '../../tensor/random/threefry.js';
import { type BatchSource, batchBuffers, checkShape, keyJson, readCursor, sourceFingerprint, toBatch } from '../stream/batch.js';
import { permutation } from '../stream/permutation.js';
import type { Example, ExampleSet, SequenceBatch } from './example.js';

export interface ExampleBatchOptions {
  /** most examples of a batch */
  readonly batch_size: number;
  /** tokens of a row; no sequence may be longer */
  readonly context: number;
  /** rows that several sequences share; default: none are shared, every sequence has a row of its own */
  readonly rows?: number;
  /** the input at padding; default 0 */
  readonly pad_token_id?: number;
}

/** Batches of examples in a shuffled order, another one every epoch. */
export interface ExampleSource extends BatchSource {
  readonly examples: number;
  /** names of the arrays that batches carry beside their tokens */
  readonly carries: readonly string[];
  next(): SequenceBatch;
}

interface Place {
  readonly row: number;
  readonly start: number;
}

/** Rows of a batch. */
const rowsOf = (set: ExampleSet, { batch_size, rows }: ExampleBatchOptions): number => rows ?? batch_size * set.sequences;

/** Puts sequences into rows, the first with room; undefined where an example does not fit any more. */
function placer({ context }: ExampleBatchOptions, rows: number, shared: boolean): (example: Example) => Place[] | undefined {
  const used = new Array<number>(rows).fill(0);
  return ({ sequences }) => {
    const before = [...used];
    const places: Place[] = [];
    for (const { ids } of sequences) {
      const row = used.findIndex((n) => (shared ? n + ids.length <= context : n === 0));
      if (row < 0) {
        before.forEach((n, i) => {
          used[i] = n;
        });
        return undefined;
      }
      places.push({ row, start: used[row] as number });
      used[row] = (used[row] as number) + ids.length;
    }
    return places;
  };
}

/** Makes one batch of the examples that `next` gives until one does not fit; says how many it took. */
function makeBatch(
  set: ExampleSet,
  options: ExampleBatchOptions,
  next: (i: number) => number | undefined,
): { readonly batch: SequenceBatch; readonly taken: number } {
  const { batch_size: E, context: T, pad_token_id = 0 } = options;
  const k = set.sequences;
  const S = E * k;
  const B = rowsOf(set, options);
  const shared = options.rows !== undefined;
  const buffers = batchBuffers(B, T, shared);
  buffers.inputs.fill(pad_token_id);
  buffers.targets.fill(-1);
  const ends = new Int32Array(S);
  const ids = new Int32Array(B * T).fill(S);
  const present = new Float32Array(E);
  const exampleIds = new Int32Array(E);
  const columns = Object.entries(set.columns).map(([name, width]) => ({ name, width, data: new Float32Array(E * width) }));
  const values = set.values.map((name) => ({ name, data: new Float32Array(B * T) }));
  const segments = new Array<number>(B).fill(0);
  const place = placer(options, B, shared);
  let taken = 0;
  for (; taken < E; taken++) {
    const number = next(taken);
    if (number === undefined) break;
    const example = set.examples[number] as Example;
    const places = place(example);
    if (!places) break;
    present[taken] = 1;
    exampleIds[taken] = number;
    for (const { name, width, data } of columns) data.set(example.columns?.[name] ?? [], taken * width);
    for (const [j, { ids: tokens, trained, values: own }] of example.sequences.entries()) {
      const { row, start } = places[j] as Place;
      const at = row * T + start;
      const n = tokens.length;
      buffers.inputs.set(tokens, at);
      for (let t = 1; t < n; t++) if (trained[t]) buffers.targets[at + t - 1] = tokens[t] as number;
      ids.fill(taken * k + j, at, at + n);
      ends[taken * k + j] = at + n - 1;
      for (const { name, data } of values) data.set(own?.[name] ?? new Float32Array(n), at);
      const segment = (segments[row] as number) + 1;
      segments[row] = segment;
      buffers.segment_ids?.fill(segment, at, at + n);
      for (let t = 0; t < n && buffers.positions; t++) buffers.positions[at + t] = t;
    }
  }
  const extra = {
    sequence_ids: new NDArray('i32', [B, T], ids),
    ends: new NDArray('i32', [S], ends),
    present: new NDArray('f32', [E], present),
    example_ids: new NDArray('i32', [E], exampleIds),
    ...Object.fromEntries(columns.map(({ name, width, data }) => [name, new NDArray('f32', [E, width], data)])),
    ...Object.fromEntries(values.map(({ name, data }) => [name, new NDArray('f32', [B, T], data)])),
  };
  return { batch: { ...toBatch(buffers, B, T), extra }, taken };
}

function checkOptions(set: ExampleSet, options: ExampleBatchOptions): void {
  const { batch_size, context, rows } = options;
  checkShape('examples', batch_size, context);
  if (rows !== undefined) checkShape('examples: rows', rows, context);
  const longest = set.examples.reduce((n, { sequences }) => Math.max(n, ...sequences.map(({ ids }) => ids.length)), 0);
  if (longest > context)
    throw new VitroError(`examples: a sequence has ${longest} tokens and a row ${context}; encode with max_length ${context} or less`);
  if (rows !== undefined && rows < set.sequences)
    throw new VitroError(`examples: ${set.sequences} sequences of an example need up to as many rows, got rows ${rows}`);
}

const sourceState = z.strictObject({ epoch: z.int().nonnegative(), index: z.int().nonnegative() });

/** Endless batches of a set for training. */
export function exampleSource(set: ExampleSet, options: ExampleBatchOptions & { readonly key: NDArray }): ExampleSource {
  checkOptions(set, options);
  const { key, batch_size, context, pad_token_id = 0 } = options;
  const n = set.examples.length;
  const rows = rowsOf(set, options);
  const fingerprint = sourceFingerprint({
    kind: 'examples',
    data: set.fingerprint,
    key: keyJson(key),
    batch_size,
    context,
    rows: options.rows ?? 0,
    pad_token_id,
  });
  let epoch = 0;
  let index = 0;
  let order = permutation(foldIn(key, 0), n);
  let orderOf = 0;
  const numberAt = (place: number): number => {
    const wanted = epoch + Math.floor(place / n);
    if (orderOf !== wanted) {
      order = permutation(foldIn(key, wanted), n);
      orderOf = wanted;
    }
    return order(place % n);
  };
  return {
    batch_size: rows,
    context,
    tokensPerBatch: rows * context,
    packed: options.rows !== undefined,
    examples: n,
    carries: [...Object.keys(set.columns), ...set.values],
    fingerprint,
    get epoch() {
      return epoch + index / n;
    },
    next() {
      const { batch, taken } = makeBatch(set, options, (i) => numberAt(index + i));
      index += taken;
      epoch += Math.floor(index / n);
      index %= n;
      return batch;
    },
    cursor: () => ({ source: fingerprint, epoch, index }),
    seek(cursor) {
      ({ epoch, index } = readCursor(cursor, fingerprint, sourceState));
    },
  };
}

/** The whole set once, in its order; the last batch may hold fewer examples. */
export function exampleBatches(set: ExampleSet, options: ExampleBatchOptions): SequenceBatch[] {
  checkOptions(set, options);
  const batches: SequenceBatch[] = [];
  for (let start = 0; start < set.examples.length; ) {
    const from = start;
    const { batch, taken } = makeBatch(set, options, (i) => (from + i < set.examples.length ? from + i : undefined));
    batches.push(batch);
    start += taken;
  }
  return batches;
}
