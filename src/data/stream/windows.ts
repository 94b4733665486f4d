import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn, keyWords, threefryBits } from '../../tensor/random/threefry.js';
import { arrayReader, type TokenReader, type TokenStore } from '../tokens/tokenStore.js';
import { type Batch, type BatchSource, batchBuffers, keyJson, sourceFingerprint, toBatch } from './batch.js';
import { stepSource } from './steps.js';

const reader = (tokens: Uint8Array | TokenReader): TokenReader => (tokens instanceof Uint8Array ? arrayReader(tokens) : tokens);

/** Windows of `context` tokens that begin at the given offsets; each needs one token more for its last target. */
function windowsAt(tokens: TokenReader, offsets: ArrayLike<number>, context: number): Batch {
  const buffers = batchBuffers(offsets.length, context, false);
  const window = new Int32Array(context + 1);
  for (let b = 0; b < offsets.length; b++) {
    tokens.read(offsets[b] as number, context + 1, window);
    buffers.inputs.set(window.subarray(0, context), b * context);
    buffers.targets.set(window.subarray(1), b * context);
  }
  return toBatch(buffers, offsets.length, context);
}

/** n uniform integers below `limit`: a 32-bit fraction each, 64-bit where the limit exceeds 2^32. */
function uniformBelow(key: NDArray, n: number, limit: number): Float64Array {
  const high = threefryBits(keyWords(key), n);
  const low = limit > 2 ** 32 ? threefryBits(keyWords(foldIn(key, 0)), n) : undefined;
  return Float64Array.from(high, (u, i) => Math.min(limit - 1, Math.floor(((u + (low?.[i] ?? 0) / 2 ** 32) / 2 ** 32) * limit)));
}

/**
 * The training batch of a step: `batchSize` windows at uniformly drawn positions. A pure function of (key, step), so a run resumes
 * anywhere and two methods that share a seed see the same data in the same order. Windows run across the ends of documents.
 */
export function trainingBatch(tokens: Uint8Array | TokenReader, key: NDArray, step: number, batchSize: number, context: number): Batch {
  const source = reader(tokens);
  const positions = source.num_tokens - context;
  if (positions < 1)
    throw new VitroError(`trainingBatch: ${source.num_tokens} tokens are too few for a context of ${context} and its last target`);
  return windowsAt(source, uniformBelow(foldIn(key, step), batchSize, positions), context);
}

/** `trainingBatch` as a source: random windows, with the step as cursor. */
export function randomWindows(store: TokenStore, options: { key: NDArray; batch_size: number; context: number }): BatchSource {
  const { key, batch_size, context } = options;
  return stepSource({
    batch_size,
    context,
    fingerprint: sourceFingerprint({ kind: 'windows', data: store.fingerprint, key: keyJson(key), batch_size, context }),
    tokensPerEpoch: store.num_tokens,
    make: (step) => trainingBatch(store, key, step, batch_size, context),
  });
}

/**
 * Consecutive windows, without overlap, over the first `limit` predictable tokens (rounded down to whole batches), in batches of `batchSize`.
 * Every covered token is predicted exactly once, from what stands before it in its window.
 */
export function validationBatches(
  tokens: Uint8Array | TokenReader,
  batchSize: number,
  context: number,
  limit = Number.POSITIVE_INFINITY,
): Batch[] {
  const source = reader(tokens);
  const available = Math.floor(Math.min(source.num_tokens - 1, limit) / context);
  const batches = Math.floor(available / batchSize);
  if (batches < 1)
    throw new VitroError(
      `validationBatches: ${source.num_tokens} tokens (limit ${limit}) do not fill one batch of ${batchSize} windows of ${context}; take a smaller batch`,
    );
  return Array.from({ length: batches }, (_, i) =>
    windowsAt(
      source,
      Array.from({ length: batchSize }, (_, b) => (i * batchSize + b) * context),
      context,
    ),
  );
}
