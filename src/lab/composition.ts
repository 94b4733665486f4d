import type { Settings } from '../contracts/index.js';
import { VitroError } from '../tensor/errors.js';
import type { Patched, PatchMethod } from '../train/patch.js';
import { preferences } from '../train/prefer/index.js';
import { patchPreference } from '../train/prefer.js';
import { rewardModels } from '../train/reward/index.js';
import { patchReward } from '../train/reward.js';
import { composeRl, type RlRecipe } from '../train/rl/compose.js';
import { baseSlots, commonSettings } from '../train/rl/defaults.js';
import { rlMethods } from '../train/rl/methods/index.js';
import { sfts } from '../train/sft/index.js';
import { patchSft } from '../train/sft.js';
import type { Chosen } from '../train/step.js';
import { UsageError } from './names.js';

/** A slot whose methods are put together, `grpo+opo`, where other slots take one method. */
export interface Composer {
  /**
   * All settings of a composition with their defaults, as one record.
   * @throws UsageError where methods clash
   */
  settings(spec: string): Settings;
}

const asUsage = <T>(make: () => T): T => {
  try {
    return make();
  } catch (error) {
    if (error instanceof VitroError) throw new UsageError(error.message);
    throw error;
  }
};

/** A recipe of reinforcement learning with the given settings. */
export const rlRecipe = (spec: string, settings: Settings = {}): RlRecipe =>
  composeRl(spec, { methods: rlMethods, base: baseSlots, common: commonSettings, settings });

/** The methods that a composition of losses names, all with the same record of settings: each takes what it knows. */
export const chosenOf = <M extends PatchMethod>(
  methods: Readonly<Record<string, M>>,
  spec: string,
  settings: Settings,
): readonly Chosen<M>[] =>
  spec.split('+').map((id) => {
    const method = methods[id.trim()];
    if (!method) throw new UsageError(`there is no method ${id}; known: ${Object.keys(methods).join(', ')}`);
    return { method, settings: { ...method.defaults, ...settings } };
  });

function patches<M extends PatchMethod>(
  methods: Readonly<Record<string, M>>,
  patch: (chosen: readonly Chosen<M>[]) => Patched<M>,
): Composer {
  return {
    settings: (spec) =>
      asUsage(() => {
        const { methods: layers } = patch(chosenOf(methods, spec, {}));
        return Object.assign({}, ...layers.map((l) => l.settings)) as Settings;
      }),
  };
}

/** The slots whose methods compose, by their ids. */
export const composers: Readonly<Record<string, Composer>> = {
  rl: { settings: (spec) => asUsage(() => rlRecipe(spec).settings) },
  'sft-loss': patches(sfts, patchSft),
  'preference-loss': patches(preferences, patchPreference),
  'reward-model': patches(rewardModels, patchReward),
};
