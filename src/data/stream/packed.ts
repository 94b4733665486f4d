import { type ZodType, z } from 'zod';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import type { TokenStore } from '../tokens/tokenStore.js';
import {
  type BatchBuffers,
  type BatchSource,
  batchBuffers,
  checkShape,
  type JsonValue,
  keyJson,
  readCursor,
  sourceFingerprint,
  toBatch,
} from './batch.js';
import { bestFitRows } from './bestFit.js';
import { concatRows } from './concat.js';
import type { Piece, RowPlanner } from './documentOrder.js';

export interface PackedOptions {
  readonly key: NDArray;
  readonly batch_size: number;
  readonly context: number;
  /** concat (default): no padding, documents are cut at the ends of rows. best-fit: only documents longer than a row are cut, rows are padded */
  readonly packing?: 'concat' | 'best-fit';
  /** best-fit: documents that are packed together; more fit better, and cost memory and time when a run resumes. Default 1024 */
  readonly buffer_documents?: number;
  /** the input at padding; default 0 */
  readonly pad_token_id?: number;
}

const count = z.int().nonnegative();
const concatState = z.strictObject({ epoch: count, index: count, offset: count });
const bestFitState = z.strictObject({ epoch: count, group: count, row: count });

/** Writes pieces of documents to one row of a batch. */
function rowWriter(
  store: TokenStore,
  context: number,
  pad: number,
): (pieces: readonly Piece[], to: Required<BatchBuffers>, row: number) => void {
  const tokens = new Int32Array(context + 1);
  const places = Int32Array.from({ length: context }, (_, t) => t);
  return (pieces, to, row) => {
    let at = row * context;
    const end = at + context;
    let segment = 0;
    for (const { start, length, continues } of pieces) {
      store.read(start, continues ? length + 1 : length, tokens);
      to.inputs.set(tokens.subarray(0, length), at);
      to.targets.set(tokens.subarray(1, length), at);
      to.targets[at + length - 1] = continues ? (tokens[length] as number) : -1;
      to.segment_ids.fill(++segment, at, at + length);
      to.positions.set(places.subarray(0, length), at);
      at += length;
    }
    to.inputs.fill(pad, at, end);
    to.targets.fill(-1, at, end);
  };
}

function source<State extends { readonly [name: string]: JsonValue }>(
  store: TokenStore,
  options: PackedOptions,
  fingerprint: string,
  planner: RowPlanner<State>,
  schema: ZodType<State>,
): BatchSource {
  const { batch_size, context, pad_token_id = 0 } = options;
  const write = rowWriter(store, context, pad_token_id);
  return {
    batch_size,
    context,
    tokensPerBatch: batch_size * context,
    packed: true,
    fingerprint,
    get epoch() {
      return planner.epoch;
    },
    next() {
      const buffers = batchBuffers(batch_size, context, true) as Required<BatchBuffers>;
      for (let b = 0; b < batch_size; b++) write(planner.nextRow(), buffers, b);
      return toBatch(buffers, batch_size, context);
    },
    cursor: () => ({ source: fingerprint, ...planner.state() }),
    seek: (cursor) => planner.restore(readCursor(cursor, fingerprint, schema)),
  };
}

/**
 * Whole documents in a shuffled order, another one every epoch, packed into rows. Every token of every document is an input exactly once an
 * epoch, and every token but a document's first is a target exactly once; a document's last token has the target -1. Segments let attention stay
 * within a document, and positions restart in each segment, so that a packed row computes what its documents would compute alone.
 */
export function packedDocuments(store: TokenStore, options: PackedOptions): BatchSource {
  const { key, batch_size, context, packing = 'concat', buffer_documents = 1024, pad_token_id = 0 } = options;
  checkShape('packedDocuments', batch_size, context);
  if (!store.num_tokens) throw new VitroError('packedDocuments: the documents hold no tokens');
  const common = { kind: packing, data: store.fingerprint, key: keyJson(key), batch_size, context };
  if (packing === 'concat') return source(store, options, sourceFingerprint(common), concatRows(store, key, context), concatState);
  if (!(Number.isSafeInteger(buffer_documents) && buffer_documents > 0))
    throw new VitroError(`packedDocuments: buffer_documents must be a positive integer, got ${buffer_documents}`);
  const fingerprint = sourceFingerprint({ ...common, buffer_documents, pad_token_id });
  return source(store, options, fingerprint, bestFitRows(store, key, context, buffer_documents), bestFitState);
}
