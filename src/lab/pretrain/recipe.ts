import type { Settings } from '../../contracts/index.js';
import { type DecoderConfig, decoderParts } from '../../models/index.js';
import { slots } from '../catalogue/slots.js';
import { lookUp, UsageError } from '../names.js';
import type { Recipe, RecipePart, SlotSettings } from '../recipe.js';
import type { PretrainConfig, SlotChoice } from './config.js';

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

/** Names of Hugging Face for methods that are called otherwise here. */
const otherNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  optimizer: { adamw_torch: 'adamw', adamw_torch_fused: 'adamw', adamw_hf: 'adamw', lion_32bit: 'lion' },
  schedule: { constant_with_warmup: 'constant', warmup_stable_decay: 'wsd', cosine_with_min_lr: 'cosine' },
};

const methodsOf = (slot: string) => slots.find((s) => s.id === slot)?.methods ?? {};

/** The method that a slot's keys name, with the settings that the user gave. */
function chosen(slot: PretrainSlot, choice: SlotChoice | undefined, flat: string | undefined, flatKey: string): RecipePart | undefined {
  const { method, ...settings } = typeof choice === 'string' ? { method: choice } : (choice ?? {});
  if (method !== undefined && flat !== undefined && method !== flat)
    throw new UsageError(`${flatKey}: "${flat}" and ${slot}: "${String(method)}" name two methods for one slot; give one of them`);
  const name = flat ?? method;
  if (name === undefined && Object.keys(settings).length === 0) return undefined;
  const id = String(name ?? slotDefaults[slot]);
  return { method: otherNames[slot]?.[id] ?? id, settings: settings as Settings };
}

const kindOf = (value: unknown): string =>
  Array.isArray(value) ? 'a list of numbers' : typeof value === 'string' ? 'text' : `a ${typeof value}`;

/** The user's settings of a method, checked against its defaults. */
function checkedSettings(method: string, defaults: Settings, given: Settings): Settings {
  for (const [key, value] of Object.entries(given)) {
    const usual = lookUp(`setting of ${method}`, key, defaults);
    if (kindOf(usual) !== kindOf(value))
      throw new UsageError(
        `${method}.${key}: ${JSON.stringify(value)} is not allowed; it must be ${kindOf(usual)}, like its default ${JSON.stringify(usual)}`,
      );
  }
  return given;
}

/** What suits short runs, for the optimizers that have these settings. */
function usualSettings(defaults: Settings): Settings {
  return {
    ...('adam_beta2' in defaults ? { adam_beta2: 0.95 } : {}),
    ...(Number(defaults.weight_decay) > 0 ? { weight_decay: 0.1 } : {}),
  };
}

const optimizerKeys = ['learning_rate', 'weight_decay', 'adam_beta1', 'adam_beta2', 'adam_epsilon'] as const;

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
    optimizer: chosen('optimizer', config.optimizer, config.optim, 'optim'),
    schedule: chosen('schedule', config.schedule, config.lr_scheduler_type, 'lr_scheduler_type'),
    objective: chosen('objective', config.objective, undefined, ''),
    tokenization: chosen('tokenization', config.tokenization, undefined, ''),
    attention: chosen('attention', config.attention, undefined, ''),
    position: chosen('position', config.position, undefined, ''),
  };
  const own = methodsOfModel(model);
  const flat: Settings = Object.fromEntries(optimizerKeys.flatMap((key) => (config[key] === undefined ? [] : [[key, config[key]]])));
  return Object.fromEntries(
    (Object.keys(slotDefaults) as PretrainSlot[]).map((slot) => {
      const part = given[slot];
      const method = part?.method ?? own[slot]?.method ?? slotDefaults[slot];
      const { defaults } = lookUp(slot, method, methodsOf(slot));
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
