import { z } from 'zod';
import { type Batch, type BatchSource, checkShape, readCursor } from './batch.js';

const stepSchema = z.strictObject({ step: z.int().nonnegative() });

/** A source whose batches are a pure function of the step. */
export function stepSource(about: {
  readonly batch_size: number;
  readonly context: number;
  readonly fingerprint: string;
  /** positions that one pass over the data counts; Infinity where data is generated */
  readonly tokensPerEpoch: number;
  readonly make: (step: number) => Batch;
}): BatchSource {
  const { batch_size, context, fingerprint, tokensPerEpoch, make } = about;
  checkShape('batches', batch_size, context);
  const tokensPerBatch = batch_size * context;
  let step = 0;
  return {
    batch_size,
    context,
    tokensPerBatch,
    packed: false,
    fingerprint,
    get epoch() {
      return (step * tokensPerBatch) / tokensPerEpoch;
    },
    next: () => make(step++),
    cursor: () => ({ source: fingerprint, step }),
    seek(cursor) {
      step = readCursor(cursor, fingerprint, stepSchema).step;
    },
  };
}
