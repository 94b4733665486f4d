import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn } from '../../tensor/random/threefry.js';
import { type Batch, type BatchSource, batchBuffers, checkShape, keyJson, sourceFingerprint, toBatch } from '../stream/batch.js';
import { stepSource } from '../stream/steps.js';
import { Draws } from './draws.js';

/** A synthetic task for a decoder: generated examples that test one ability. */
export interface Probe {
  readonly id: string;
  readonly summary: string;
  /** where the task is from */
  readonly paper: string;
  /** what the instance was made with */
  readonly settings: Readonly<Record<string, number | string | boolean>>;
  readonly vocab_size: number;
  readonly context: number;
  readonly metric: 'accuracy';
  /** accuracy of a uniform guess among the possible answers */
  readonly chance: number;
  /** A pure function of (key, step): the target is -1 where nothing is asked. */
  batch(key: NDArray, step: number, batchSize: number): Batch;
}

/** What a probe's author writes: one example, into arrays of `context` elements. `targets` comes filled with -1. */
export type ProbeDefinition = Omit<Probe, 'metric' | 'batch'> & {
  readonly example: (draws: Draws, inputs: Int32Array, targets: Int32Array) => void;
};

export function defineProbe({ example, ...about }: ProbeDefinition): Probe {
  const { id, context } = about;
  checkShape(id, 1, context);
  return {
    ...about,
    metric: 'accuracy',
    batch(key, step, batchSize) {
      checkShape(id, batchSize, context);
      const buffers = batchBuffers(batchSize, context, false);
      buffers.targets.fill(-1);
      const stepKey = foldIn(key, step);
      for (let b = 0; b < batchSize; b++) {
        const from = b * context;
        example(
          new Draws(foldIn(stepKey, b)),
          buffers.inputs.subarray(from, from + context),
          buffers.targets.subarray(from, from + context),
        );
      }
      return toBatch(buffers, batchSize, context);
    },
  };
}

/** Throws unless the setting is an integer in [min, max]. */
export function checkSetting(probe: string, name: string, value: number, min: number, max: number): void {
  if (!(Number.isInteger(value) && value >= min && value <= max))
    throw new VitroError(`${probe}: ${name} must be an integer from ${min} to ${max}, got ${value}`);
}

/** Key folds that keep training and evaluation examples apart. */
const TRAIN = 0;
const EVALUATE = 1;

/** Endless training batches of a probe. */
export function probeSource(probe: Probe, key: NDArray, batch_size: number): BatchSource {
  const trainKey = foldIn(key, TRAIN);
  const { id, settings, context } = probe;
  return stepSource({
    batch_size,
    context,
    fingerprint: sourceFingerprint({ kind: 'probe', id, settings, key: keyJson(trainKey), batch_size }),
    tokensPerEpoch: Number.POSITIVE_INFINITY,
    make: (step) => probe.batch(trainKey, step, batch_size),
  });
}

/** A fixed evaluation set. Its examples are drawn with another key than any training batch of `probeSource` with the same key. */
export function probeEvaluation(probe: Probe, key: NDArray, batches: number, batchSize: number): Batch[] {
  const evaluationKey = foldIn(key, EVALUATE);
  return Array.from({ length: batches }, (_, step) => probe.batch(evaluationKey, step, batchSize));
}
