import type { JsonValue } from '../../../data/stream/batch.js';
import { RolloutBatch } from '../batch.js';
import type { Buffer } from '../contract.js';
import { sampleFromJson, sampleToJson } from '../trajectory.js';

interface Pipeline {
  /** samples of the last steps, oldest first */
  waiting: JsonValue[][];
}

/**
 * Rollouts arrive `staleness` steps after they were sampled, as if generation ran ahead of training; another buffer gets them then. Until the first ones
 * arrive nothing trains. Log-probabilities are those of the policy that drew the tokens.
 */
export const delayed = (inner: Buffer): Buffer<Pipeline> => ({
  name: `delayed ${inner.name}`,
  defaults: { ...inner.defaults, staleness: 4 },
  needs: inner.needs,
  init: () => ({ waiting: [] }),
  exchange: (fresh, context) => {
    const staleness = context.number('staleness');
    const { state } = context;
    if (staleness === 0 && state.waiting.length === 0) return inner.exchange(fresh, context.of(inner));
    state.waiting.push(fresh.samples.map(sampleToJson));
    if (state.waiting.length <= staleness) return [];
    const arrived = (state.waiting.shift() ?? []).map(sampleFromJson);
    const samples = arrived.map((s) => ({ ...s, trajectory: { ...s.trajectory, age: s.trajectory.age + staleness } }));
    return inner.exchange(new RolloutBatch(samples), context.of(inner));
  },
});
