import type { CheckpointMerge } from './slot.js';

/** The factor that a merge gives to the change made by each step 0 .. totalSteps - 1: the sum of the weights of all later checkpoints. */
export function impliedDecay(merge: CheckpointMerge, totalSteps: number): number[] {
  const factors = new Array<number>(totalSteps).fill(0);
  let later = 0;
  for (let step = totalSteps - 1; step >= 0; step--) {
    later += merge.weights.get(step + 1) ?? 0;
    factors[step] = later;
  }
  return factors;
}
