import fc from 'fast-check';
import type { Batch, BatchSource } from '../../../src/data/stream/batch.js';
import { memoryTokens, type TokenStore } from '../../../src/data/tokens/tokenStore.js';

/** Documents of the given lengths in which every token is another number, so that a token tells its document and place. */
export function distinctDocuments(lengths: readonly number[]): TokenStore {
  const total = lengths.reduce((a, b) => a + b, 0);
  let end = 0;
  const ends = lengths.flatMap((n) => {
    end += n;
    return [end, end];
  });
  return memoryTokens(
    Int32Array.from({ length: total }, (_, i) => i),
    { vocab_size: total, ends: Float64Array.from(ends) },
  );
}

/** Lengths of documents, empty ones among them, not all empty. */
export const lengthsOf = (maxDocuments: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc
    .array(fc.integer({ min: 0, max: maxLength }), { minLength: 1, maxLength: maxDocuments })
    .filter((lengths) => lengths.some((n) => n > 0));

export const numbers = (batch: Batch): Record<string, number[]> =>
  Object.fromEntries(Object.entries(batch).map(([name, array]) => [name, Array.from(array.data, Number)]));

export async function take(source: BatchSource, n: number): Promise<Record<string, number[]>[]> {
  const out: Record<string, number[]>[] = [];
  for (let i = 0; i < n; i++) out.push(numbers(await source.next()));
  return out;
}
