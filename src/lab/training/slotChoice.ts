import { z } from 'zod';
import type { Settings } from '../../contracts/index.js';
import { slots } from '../catalogue/slots.js';
import { knob, text } from '../config/fields.js';
import { lookUp, UsageError } from '../names.js';
import type { RecipePart } from '../recipe.js';

/** How configurations name the method of a slot with its settings. */

/** A method of a slot, or one with settings: `quest`, {method: quest, scale: 2}, or settings for the usual method. */
export const slotChoice = () =>
  z.union([text(), z.record(z.string(), knob())], { error: 'the name of a method, or a record of its settings' });
export type SlotChoice = z.output<ReturnType<typeof slotChoice>>;

/** Names of Hugging Face for methods that are called otherwise here. */
const otherNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  optimizer: { adamw_torch: 'adamw', adamw_torch_fused: 'adamw', adamw_hf: 'adamw', lion_32bit: 'lion' },
  schedule: { constant_with_warmup: 'constant', warmup_stable_decay: 'wsd', cosine_with_min_lr: 'cosine' },
};

/** Methods of a slot by their ids. */
export const slotMethods = (slot: string) => slots.find((s) => s.id === slot)?.methods ?? {};

/** The method that a slot's keys name, with the settings that the user gave; undefined where there is nothing. */
export function chosenMethod(
  slot: string,
  usual: string,
  choice: SlotChoice | undefined,
  flat?: string,
  flatKey = '',
): RecipePart | undefined {
  const { method, ...settings } = typeof choice === 'string' ? { method: choice } : (choice ?? {});
  if (method !== undefined && flat !== undefined && method !== flat)
    throw new UsageError(`${flatKey}: "${flat}" and ${slot}: "${String(method)}" name two methods for one slot; give one of them`);
  const name = flat ?? method;
  if (name === undefined && Object.keys(settings).length === 0) return undefined;
  const id = String(name ?? usual);
  return { method: otherNames[slot]?.[id] ?? id, settings: settings as Settings };
}

const kindOf = (value: unknown): string =>
  Array.isArray(value) ? 'a list of numbers' : typeof value === 'string' ? 'text' : `a ${typeof value}`;

/** @throws UsageError where a value is of another kind than the default of its setting */
export function checkKind(where: string, value: unknown, usual: unknown): void {
  if (kindOf(usual) !== kindOf(value))
    throw new UsageError(
      `${where}: ${JSON.stringify(value)} is not allowed; it must be ${kindOf(usual)}, like its default ${JSON.stringify(usual)}`,
    );
}

/** The user's settings of a method, checked against its defaults. */
export function checkedSettings(method: string, defaults: Settings, given: Settings): Settings {
  for (const [key, value] of Object.entries(given)) checkKind(`${method}.${key}`, value, lookUp(`setting of ${method}`, key, defaults));
  return given;
}

/** Keys of a configuration that are settings of its optimizer. */
const optimizerKeys = ['learning_rate', 'weight_decay', 'adam_beta1', 'adam_beta2', 'adam_epsilon'] as const;
export type FlatOptimizerKeys = { readonly [K in (typeof optimizerKeys)[number]]?: number | undefined };

export const flatOptimizerSettings = (config: FlatOptimizerKeys): Settings =>
  Object.fromEntries(optimizerKeys.flatMap((key) => (config[key] === undefined ? [] : [[key, config[key] as number]])));

/** Keys of a configuration that say how it is optimised. */
export interface OptimizationConfig extends FlatOptimizerKeys {
  readonly optim?: string | undefined;
  readonly optimizer?: SlotChoice | undefined;
  readonly lr_scheduler_type?: string | undefined;
  readonly schedule?: SlotChoice | undefined;
}

/** Optimizer and schedule of a run that goes on from trained weights: its learning rate is by default a share of the optimizer's own. */
export function fineTuningParts(
  config: OptimizationConfig,
  { schedule: usual, rate }: { readonly schedule: string; readonly rate: number },
): { readonly optimizer: RecipePart; readonly schedule: RecipePart } {
  const given = chosenMethod('optimizer', 'adamw', config.optimizer, config.optim, 'optim') ?? { method: 'adamw', settings: {} };
  const { defaults } = lookUp('optimizer', given.method, slotMethods('optimizer'));
  const usualRate: Settings =
    typeof defaults.learning_rate === 'number' ? { learning_rate: Number((defaults.learning_rate * rate).toPrecision(6)) } : {};
  const decay: Settings = typeof defaults.weight_decay === 'number' ? { weight_decay: 0 } : {};
  const flat = checkedSettings(given.method, defaults, flatOptimizerSettings(config));
  const own = checkedSettings(given.method, defaults, given.settings);
  const schedule = chosenMethod('schedule', usual, config.schedule, config.lr_scheduler_type, 'lr_scheduler_type') ?? {
    method: usual,
    settings: {},
  };
  const planned = lookUp('schedule', schedule.method, slotMethods('schedule')).defaults;
  return {
    optimizer: { method: given.method, settings: { ...defaults, ...usualRate, ...decay, ...flat, ...own } },
    schedule: { method: schedule.method, settings: { ...planned, ...checkedSettings(schedule.method, planned, schedule.settings) } },
  };
}
