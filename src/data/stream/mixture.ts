import { z } from 'zod';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn, keyWords, threefryBits } from '../../tensor/random/threefry.js';
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

export interface MixtureOptions {
  readonly key: NDArray;
  /** sources by name; weights are made to sum to 1 */
  readonly sources: Readonly<Record<string, { readonly source: BatchSource; readonly fraction: number }>>;
  /** row (default): each row is drawn by itself, from sources of batch_size 1. step: a batch comes from one source */
  readonly by?: 'row' | 'step';
  /** rows of a batch, where rows are drawn; where steps are, the sources' own */
  readonly batch_size?: number;
}

const cursorSchema = z.strictObject({ step: z.int().nonnegative(), sources: z.record(z.string(), z.json()) });

function cumulative(fractions: readonly number[]): number[] {
  const total = fractions.reduce((a, b) => a + b, 0);
  if (!fractions.every((f) => Number.isFinite(f) && f >= 0) || !(total > 0))
    throw new VitroError(`mixture: fractions must be non-negative numbers with a positive sum, got ${fractions.join(', ')}`);
  let sum = 0;
  return fractions.map((f) => {
    sum += f;
    return sum / total;
  });
}

/** Copies row 0 of a batch to row b. A source without segments is one document: segment 1, positions from 0. */
function copyRow(from: Batch, to: ReturnType<typeof batchBuffers>, b: number, context: number): void {
  for (const name of ['inputs', 'targets'] as const) to[name].set(from[name].data as Int32Array, b * context);
  if (from.segment_ids) to.segment_ids?.set(from.segment_ids.data as Int32Array, b * context);
  else to.segment_ids?.fill(1, b * context, (b + 1) * context);
  if (from.positions) to.positions?.set(from.positions.data as Int32Array, b * context);
  else for (let t = 0; t < context; t++) if (to.positions) to.positions[b * context + t] = t;
}

/**
 * A mixture of sources: which one a row (or a step) comes from is drawn with the given probabilities by a counter-based generator, so the
 * sequence is a function of the key, and each source goes on from where it stood.
 */
export function mixture(options: MixtureOptions): BatchSource {
  const { key, by = 'row' } = options;
  const names = Object.keys(options.sources);
  const parts = Object.values(options.sources);
  const first = parts[0]?.source;
  if (!first) throw new VitroError('mixture: there are no sources');
  const edges = cumulative(parts.map((p) => p.fraction));
  const context = first.context;
  const batch_size = by === 'row' ? options.batch_size : first.batch_size;
  if (batch_size === undefined) throw new VitroError('mixture: rows are drawn one by one; set batch_size');
  if (by === 'step' && options.batch_size !== undefined && options.batch_size !== batch_size)
    throw new VitroError(`mixture: by step, batches are the sources' own (${batch_size} rows); batch_size ${options.batch_size} differs`);
  checkShape('mixture', batch_size, context);
  for (const [i, { source }] of parts.entries())
    if (source.context !== context || source.batch_size !== (by === 'row' ? 1 : batch_size))
      throw new VitroError(
        `mixture: the source "${names[i]}" gives [${source.batch_size}, ${source.context}]; by ${by}, all must give [${by === 'row' ? 1 : batch_size}, ${context}]`,
      );
  const packed = parts.some((p) => p.source.packed);
  const fingerprint = sourceFingerprint({
    kind: 'mixture',
    by,
    batch_size,
    key: keyJson(key),
    sources: parts.map((p, i) => [names[i] as string, p.source.fingerprint, p.fraction]),
  });
  let step = 0;

  /** The source of each row (or of the step, one draw). */
  const draw = (at: number, n: number): BatchSource[] =>
    Array.from(threefryBits(keyWords(foldIn(key, at)), n), (u) => {
      const i = edges.findIndex((edge) => u / 2 ** 32 < edge);
      return parts[i]?.source ?? first;
    });

  async function rows(sources: readonly BatchSource[]): Promise<Batch> {
    const buffers = batchBuffers(sources.length, context, packed);
    for (const [b, source] of sources.entries()) copyRow(await source.next(), buffers, b, context);
    return toBatch(buffers, sources.length, context);
  }
  return {
    batch_size,
    context,
    tokensPerBatch: batch_size * context,
    packed,
    fingerprint,
    get epoch() {
      return Math.max(...parts.map((p) => p.source.epoch));
    },
    async next() {
      const sources = draw(step, by === 'row' ? batch_size : 1);
      const batch = by === 'row' ? await rows(sources) : withSegments(await (sources[0] ?? first).next(), packed);
      step++;
      return batch;
    },
    cursor: () => ({ source: fingerprint, step, sources: Object.fromEntries(parts.map((p, i) => [names[i], p.source.cursor()])) }),
    seek(cursor) {
      const state = readCursor(cursor, fingerprint, cursorSchema);
      const before = parts.map((p) => p.source.cursor());
      try {
        for (const [i, p] of parts.entries()) p.source.seek((state.sources[names[i] as string] ?? null) as JsonValue);
      } catch (error) {
        for (const [i, p] of parts.entries()) p.source.seek(before[i] as JsonValue);
        throw error;
      }
      step = state.step;
    },
  };
}

/** The batch with segments and positions, where the mixture has them and this source does not: each row is one document. */
function withSegments(batch: Batch, packed: boolean): Batch {
  if (!packed || batch.segment_ids) return batch;
  const [rows, context] = batch.inputs.shape as [number, number];
  const buffers = batchBuffers(rows, context, true);
  buffers.segment_ids?.fill(1);
  buffers.positions?.forEach((_, i, all) => {
    all[i] = i % context;
  });
  return { ...toBatch(buffers, rows, context), inputs: batch.inputs, targets: batch.targets };
}
