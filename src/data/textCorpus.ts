import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { VitroError } from '../tensor/errors.js';

export type { Batch as TokenBatch } from './stream/batch.js';
export { trainingBatch, validationBatches } from './stream/windows.js';

/** A text as byte tokens (vocabulary 256), split by position: the head trains, the tail validates. */
export interface TextCorpus {
  readonly id: string;
  /** SHA-256 of the whole text, so that a run file names the data it saw */
  readonly sha256: string;
  readonly train: Uint8Array;
  readonly validation: Uint8Array;
}

/** Splits a text: the first 1 - validationFraction of its bytes train, the rest validates. */
export function splitText(id: string, text: Uint8Array, validationFraction = 0.1): TextCorpus {
  if (!(validationFraction > 0 && validationFraction < 1))
    throw new VitroError(`splitText: validationFraction must lie between 0 and 1, got ${validationFraction}`);
  const cut = Math.floor(text.length * (1 - validationFraction));
  const sha256 = createHash('sha256').update(text).digest('hex');
  return { id, sha256, train: text.subarray(0, cut), validation: text.subarray(cut) };
}

/** A text whose parts are given; its hash is that of the two parts in order. */
export function corpusOf(id: string, train: Uint8Array, validation: Uint8Array): TextCorpus {
  return { id, sha256: createHash('sha256').update(train).update(validation).digest('hex'), train, validation };
}

/** The tiny Shakespeare text that ships with Vitro (assets/, see NOTICE), split 90/10. */
export async function loadTinyShakespeare(): Promise<TextCorpus> {
  const path = fileURLToPath(new URL('../../assets/tinyshakespeare.txt.gz', import.meta.url));
  return splitText('tinyshakespeare', gunzipSync(await readFile(path)));
}
