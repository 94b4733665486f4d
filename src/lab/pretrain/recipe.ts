import type { Settings } from '../../contracts/index.js';
import { type DecoderConfig, decoderParts } from '../../models/index.js';
import { lookUp } from '../names.js';
import type { Recipe, RecipePart, SlotSettings } from '../recipe.js';
import { checkedSettings, chosenMethod, flatOptimizerSettings, slotMethods } from '../training/slotChoice.js';
import type { PretrainConfig } from './config.js';

/** Slots of pretraining with their usual methods. */
export const slotDefaults = {
  optimizer: 'adamw',
  schedule: 'cosine',
  objective: 'next-token',
  tokenization: 'deterministic',
  attention: 'softmax',
  position: 'rope',
} as const;
export type PretrainSlot = keyof typeof slotDefaults;

/** What suits short runs, for the optimizers that have these settings. */
function usualSettings(defaults: Settings): Settings {
  return {
    ...('adam_beta2' in defaults ? { adam_beta2: 0.95 } : {}),
    ...(Number(defaults.weight_decay) > 0 ? { weight_decay: 0.1 } : {}),
  };
}

/** The methods that a decoder has in its slots. */
function methodsOfModel(config: DecoderConfig): Readonly<Partial<Record<PretrainSlot, RecipePart>>> {
  const { attention, attentionContext, position, positionSettings } = decoderParts(config);
  return {
    attention: { method: attention.id, settings: attentionContext.settings },
    position: { method: position.id, settings: positionSettings.full_attention },
  };
}

/** The recipe of a run: one method with complete settings for every slot. Attention and position are the model's own unless the user names others. */
export function recipeOf(config: PretrainConfig, model: DecoderConfig, tuned: Readonly<Record<string, SlotSettings>> = {}): Recipe {
  const given: Readonly<Record<PretrainSlot, RecipePart | undefined>> = {
    optimizer: chosenMethod('optimizer', slotDefaults.optimizer, config.optimizer, config.optim, 'optim'),
    schedule: chosenMethod('schedule', slotDefaults.schedule, config.schedule, config.lr_scheduler_type, 'lr_scheduler_type'),
    objective: chosenMethod('objective', slotDefaults.objective, config.objective),
    tokenization: chosenMethod('tokenization', slotDefaults.tokenization, config.tokenization),
    attention: chosenMethod('attention', slotDefaults.attention, config.attention),
    position: chosenMethod('position', slotDefaults.position, config.position),
  };
  const own = methodsOfModel(model);
  const flat = flatOptimizerSettings(config);
  return Object.fromEntries(
    (Object.keys(slotDefaults) as PretrainSlot[]).map((slot) => {
      const part = given[slot];
      const method = part?.method ?? own[slot]?.method ?? slotDefaults[slot];
      const { defaults } = lookUp(slot, method, slotMethods(slot));
      const kept = own[slot]?.method === method ? own[slot]?.settings : {};
      const settings = {
        ...defaults,
        ...kept,
        ...(slot === 'optimizer'
          ? { ...usualSettings(defaults), ...tuned[method]?.optimizer, ...checkedSettings(method, defaults, flat) }
          : {}),
        ...checkedSettings(method, defaults, part?.settings ?? {}),
      } as Settings;
      return [slot, { method, settings }];
    }),
  );
}
