import type { ScheduleMethod } from '../optim/schedule/index.js';
import type { OptimizerMethod } from '../optim/transform/index.js';
import { applyPatches, type Patched } from './patch.js';
import { type PostTrainResult, type PostTrainShared, postTrain } from './postTrain.js';
import { type SftMethod, sftFrozen, sftObjective, sftParts, sfts } from './sft/index.js';
import type { Chosen } from './step.js';

/** Which methods train. Losses are applied one after the other to `sft`. */
export interface SftRecipe {
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly losses: readonly Chosen<SftMethod>[];
}

export interface SftOptions extends PostTrainShared {
  readonly recipe: SftRecipe;
}

/** Puts losses together. @throws VitroError where two replace the same part */
export const patchSft = (losses: readonly Chosen<SftMethod>[]): Patched<SftMethod> =>
  applyPatches({ methods: sfts, parts: sftParts, root: 'sft' }, losses);

/**
 * Fine-tunes a language model on demonstrations (examples of one sequence). Evaluation always measures plain cross-entropy and what goes with it, so
 * that losses can be compared whatever was trained.
 */
export function sft({ recipe, ...shared }: SftOptions): Promise<PostTrainResult> {
  const { optimizer, schedule, losses } = recipe;
  const patched = patchSft(losses);
  return postTrain({
    ...shared,
    optimizer,
    schedule,
    objective: { method: sftObjective(patched), settings: {} },
    evaluated: { method: sftObjective(patchSft([])), settings: {} },
    frozen: sftFrozen(patched),
  });
}
