import { createHash } from 'node:crypto';
import type { ZodType } from 'zod';
import { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { keyWords } from '../../tensor/random/threefry.js';

/**
 * Token windows i32 [B, T]. `targets[b][t]` is what position t of row b has to predict (for text the token that follows), or -1 where
 * nothing is asked: such positions count neither in the loss nor in its mean.
 */
export interface Batch {
  readonly inputs: NDArray;
  readonly targets: NDArray;
  /** i32 [B, T]: 1, 2, ... for the documents of a row, 0 for padding; a position attends to its own segment only */
  readonly segment_ids?: NDArray;
  /** i32 [B, T]: place within the segment, from 0 */
  readonly positions?: NDArray;
}

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** An endless, deterministic sequence of batches of one shape, with a cursor that resumes it exactly. */
export interface BatchSource {
  readonly batch_size: number;
  readonly context: number;
  /** batch_size * context, padding included */
  readonly tokensPerBatch: number;
  /** whether batches carry segment_ids and positions */
  readonly packed: boolean;
  /** names everything that determines the sequence; a cursor belongs to one fingerprint */
  readonly fingerprint: string;
  /** passes over the data so far, with fraction (of a mixture: of its most repeated source) */
  readonly epoch: number;
  /** The next batch, in arrays of its own. Await it before `cursor`. */
  next(): Promise<Batch> | Batch;
  /** Where the sequence stands: small, and exact through JSON. */
  cursor(): JsonValue;
  /** Continues where a cursor of the same sequence stood. A cursor of another sequence is an error and changes nothing. */
  seek(cursor: JsonValue): void;
}

/** A batch's arrays, zero-filled, as typed arrays to write to. */
export interface BatchBuffers {
  readonly inputs: Int32Array<ArrayBuffer>;
  readonly targets: Int32Array<ArrayBuffer>;
  readonly segment_ids?: Int32Array<ArrayBuffer>;
  readonly positions?: Int32Array<ArrayBuffer>;
}

export function batchBuffers(batchSize: number, context: number, packed: boolean): BatchBuffers {
  const make = (): Int32Array<ArrayBuffer> => new Int32Array(batchSize * context);
  return { inputs: make(), targets: make(), ...(packed ? { segment_ids: make(), positions: make() } : {}) };
}

export function toBatch(buffers: BatchBuffers, batchSize: number, context: number): Batch {
  const shape = [batchSize, context];
  const { inputs, targets, segment_ids, positions } = buffers;
  return {
    inputs: new NDArray('i32', shape, inputs),
    targets: new NDArray('i32', shape, targets),
    ...(segment_ids && positions
      ? { segment_ids: new NDArray('i32', shape, segment_ids), positions: new NDArray('i32', shape, positions) }
      : {}),
  };
}

export function checkShape(what: string, batchSize: number, context: number): void {
  for (const [name, n] of [
    ['batch_size', batchSize],
    ['context', context],
  ] as const)
    if (!(Number.isSafeInteger(n) && n > 0)) throw new VitroError(`${what}: ${name} must be a positive integer, got ${n}`);
}

/** SHA-256 of what determines a sequence of batches, shortened to 64 bits. */
export function sourceFingerprint(parts: { readonly [name: string]: JsonValue }): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

export const keyJson = (key: NDArray): JsonValue => [...keyWords(key)];

/** The state within a cursor, checked: right sequence, right form. */
export function readCursor<T>(cursor: JsonValue, fingerprint: string, schema: ZodType<T>): T {
  const { source, ...state } =
    typeof cursor === 'object' && cursor !== null && !Array.isArray(cursor) ? (cursor as Record<string, JsonValue>) : {};
  if (source !== fingerprint)
    throw new VitroError(
      `seek: the cursor ${JSON.stringify(cursor)} belongs to another sequence than ${fingerprint}: data, seed, batch size, context and packing must be those of the run that is resumed`,
    );
  const parsed = schema.safeParse(state);
  if (!parsed.success) throw new VitroError(`seek: the cursor ${JSON.stringify(cursor)} is damaged: ${parsed.error.issues[0]?.message}`);
  return parsed.data;
}
