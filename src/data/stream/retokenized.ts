import { z } from 'zod';
import type { NDArray } from '../../tensor/array.js';
import { foldIn, keyWords, threefryBits } from '../../tensor/random/threefry.js';
import type { Retokenizer, Uniform } from '../tokenization/slot.js';
import {
  type Batch,
  type BatchSource,
  batchBuffers,
  checkShape,
  type JsonValue,
  keyJson,
  readCursor,
  sourceFingerprint,
  toBatch,
} from './batch.js';

export interface RetokenizedOptions {
  readonly key: NDArray;
  /** length of the rows that come out; what a row has beyond it is cut, what it lacks is padded and not counted */
  readonly context: number;
  /** names the method and its settings, for the fingerprint */
  readonly method: JsonValue;
}

const cursorSchema = z.strictObject({ step: z.int().nonnegative(), inner: z.json() });
const drawn = 512;

/** Uniform numbers of a key, drawn as they are needed. */
function uniformOf(key: NDArray): Uniform {
  let bits: ArrayLike<number> = [];
  let at = drawn;
  let block = 0;
  return () => {
    if (at === drawn) {
      bits = threefryBits(keyWords(foldIn(key, block++)), drawn);
      at = 0;
    }
    return (bits[at++] as number) / 2 ** 32;
  };
}

/** Where the segments of a row begin and end; a row without segments is one. */
function segmentsOf(ids: Int32Array | undefined, from: number, to: number): [start: number, end: number][] {
  if (!ids) return [[from, to]];
  const out: [number, number][] = [];
  for (let start = from; start < to && (ids[start] as number) > 0; ) {
    let end = start + 1;
    while (end < to && ids[end] === ids[start]) end++;
    out.push([start, end]);
    start = end;
  }
  return out;
}

/**
 * A source whose rows are rewritten by a method of the slot tokenization, segment by segment, with random numbers of (key, step, row). A row of the
 * source that grows beyond `context` is cut at its end.
 */
export function retokenized(source: BatchSource, { rewrite }: Retokenizer, options: RetokenizedOptions): BatchSource {
  const { key, context, method } = options;
  const { batch_size, packed } = source;
  checkShape('retokenized', batch_size, context);
  const fingerprint = sourceFingerprint({ kind: 'retokenized', inner: source.fingerprint, key: keyJson(key), context, method });
  let step = 0;

  function rewritten(batch: Batch): Batch {
    const [inputs, targets] = [batch.inputs.data as Int32Array, batch.targets.data as Int32Array];
    const segment_ids = batch.segment_ids?.data as Int32Array | undefined;
    const out = batchBuffers(batch_size, context, packed);
    out.targets.fill(-1);
    for (let b = 0; b < batch_size; b++) {
      const uniform = uniformOf(foldIn(foldIn(key, step), b));
      let at = b * context;
      const end = at + context;
      let segment = 0;
      for (const [from, to] of segmentsOf(segment_ids, b * source.context, (b + 1) * source.context)) {
        const last = targets[to - 1] as number;
        const ids = new Int32Array(to - from + (last >= 0 ? 1 : 0));
        ids.set(inputs.subarray(from, to));
        if (last >= 0) ids[to - from] = last;
        const fresh = rewrite(ids, uniform);
        const length = Math.min(end - at, last >= 0 ? fresh.length - 1 : fresh.length);
        out.inputs.set(fresh.subarray(0, length), at);
        out.targets.set(fresh.subarray(1, length + 1), at);
        out.segment_ids?.fill(++segment, at, at + length);
        for (let t = 0; t < length; t++) if (out.positions) out.positions[at + t] = t;
        at += length;
      }
    }
    return toBatch(out, batch_size, context);
  }
  return {
    batch_size,
    context,
    tokensPerBatch: batch_size * context,
    packed,
    fingerprint,
    get epoch() {
      return source.epoch;
    },
    async next() {
      const batch = rewritten(await source.next());
      step++;
      return batch;
    },
    cursor: () => ({ source: fingerprint, step, inner: source.cursor() }),
    seek(cursor) {
      const state = readCursor(cursor, fingerprint, cursorSchema);
      source.seek(state.inner as JsonValue);
      step = state.step;
    },
  };
}
