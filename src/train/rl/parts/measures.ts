import { softmax } from '../../../tensor/ops/activation.js';
import { maximum, sub } from '../../../tensor/ops/elementwise.js';
import { oneHot } from '../../../tensor/ops/indexing.js';
import type { RolloutBatch } from '../batch.js';
import type { HostContext, Measure, Sequence } from '../contract.js';
import type { Sample } from '../trajectory.js';

/** What forward passes tell about samples. */

/** Last hidden states, D values a token. */
export const hiddenStates: Measure = { name: 'hidden states', tensor: ({ hidden }) => hidden() };

/** Error of the prediction at the output, V values a token: the gradient of the token's log-probability by the logits. */
export const outputErrors: Measure = {
  name: 'output errors',
  tensor: ({ logits, targets }) => sub(oneHot(maximum(targets, 0), logits().shape[2] as number), softmax(logits())),
};

/** Segments of samples as training scores them, with the number of the sample. */
export const scoredSegments = (samples: readonly Sample[]): (Sequence & { readonly sample: number; readonly actions: Uint8Array })[] =>
  samples.flatMap(({ segments }, sample) =>
    segments.map(({ context, replay_context, tokens, actions }) => ({ context: replay_context ?? context, tokens, actions, sample })),
  );

/** A measure at every token of a batch: K rows. */
export async function measureBatch(batch: RolloutBatch, measure: Measure, { policy }: HostContext): Promise<Float64Array[]> {
  const sequences = scoredSegments(batch.samples);
  return (await policy.measure(sequences, measure)).flatMap((values, i) => rowsOf(values, sequences[i]?.tokens.length ?? 0));
}

/** Values of a sequence cut into rows, one for each of its tokens. */
export function rowsOf(values: Float64Array, tokens: number): Float64Array[] {
  const width = tokens > 0 ? values.length / tokens : 0;
  return Array.from({ length: tokens }, (_, j) => values.subarray(j * width, (j + 1) * width));
}
