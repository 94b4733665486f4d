import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { foldIn, keyWords, threefryBits } from '../tensor/random/threefry.js';

/** A text as byte tokens (vocabulary 256), split by position: the head trains, the tail validates. */
export interface TextCorpus {
  readonly id: string;
  /** SHA-256 of the whole text, so that a run file names the data it saw */
  readonly sha256: string;
  readonly train: Uint8Array;
  readonly validation: Uint8Array;
}

/** Token windows i32 [B, T]; `targets[b][t]` is the token that follows `inputs[b][t]`. */
export interface TokenBatch {
  readonly inputs: NDArray;
  readonly targets: NDArray;
}

/** Splits a text: the first 1 - validationFraction of its bytes train, the rest validates. */
export function splitText(id: string, text: Uint8Array, validationFraction = 0.1): TextCorpus {
  if (!(validationFraction > 0 && validationFraction < 1))
    throw new VitroError(`splitText: validationFraction must lie between 0 and 1, got ${validationFraction}`);
  const cut = Math.floor(text.length * (1 - validationFraction));
  const sha256 = createHash('sha256').update(text).digest('hex');
  return { id, sha256, train: text.subarray(0, cut), validation: text.subarray(cut) };
}

/** The tiny Shakespeare text that ships with Vitro (assets/, see NOTICE), split 90/10. */
export async function loadTinyShakespeare(): Promise<TextCorpus> {
  const path = fileURLToPath(new URL('../../assets/tinyshakespeare.txt.gz', import.meta.url));
  return splitText('tinyshakespeare', gunzipSync(await readFile(path)));
}

/** Windows of `context` tokens that begin at the given offsets; each needs one byte more for its last target. */
function windowsAt(bytes: Uint8Array, offsets: readonly number[], context: number): TokenBatch {
  const inputs = new Int32Array(offsets.length * context);
  const targets = new Int32Array(offsets.length * context);
  offsets.forEach((offset, b) => {
    inputs.set(bytes.subarray(offset, offset + context), b * context);
    targets.set(bytes.subarray(offset + 1, offset + 1 + context), b * context);
  });
  const shape = [offsets.length, context];
  return { inputs: new NDArray('i32', shape, inputs), targets: new NDArray('i32', shape, targets) };
}

/**
 * The training batch of a step: `batchSize` windows at uniformly drawn positions. A pure function of (key, step), so a run resumes
 * anywhere and two methods that share a seed see the same data in the same order.
 */
export function trainingBatch(bytes: Uint8Array, key: NDArray, step: number, batchSize: number, context: number): TokenBatch {
  const positions = bytes.length - context;
  if (positions < 1)
    throw new VitroError(`trainingBatch: ${bytes.length} bytes are too few for a context of ${context} and its last target`);
  const bits = threefryBits(keyWords(foldIn(key, step)), batchSize);
  return windowsAt(
    bytes,
    Array.from(bits, (u) => Math.floor((u / 2 ** 32) * positions)),
    context,
  );
}

/**
 * Consecutive windows, without overlap, over the first `limit` predictable bytes (rounded down to whole batches), in batches of `batchSize`.
 * Every covered byte is predicted exactly once, from what stands before it in its window.
 */
export function validationBatches(bytes: Uint8Array, batchSize: number, context: number, limit = Number.POSITIVE_INFINITY): TokenBatch[] {
  const available = Math.floor(Math.min(bytes.length - 1, limit) / context);
  const batches = Math.floor(available / batchSize);
  if (batches < 1)
    throw new VitroError(
      `validationBatches: ${bytes.length} bytes (limit ${limit}) do not fill one batch of ${batchSize} windows of ${context}; take a smaller batch`,
    );
  return Array.from({ length: batches }, (_, i) =>
    windowsAt(
      bytes,
      Array.from({ length: batchSize }, (_, b) => (i * batchSize + b) * context),
      context,
    ),
  );
}
