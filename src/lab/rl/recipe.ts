import { z } from 'zod';
import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import { composeRl, type RlRecipe } from '../../train/rl/compose.js';
import { baseSlots, commonSettings } from '../../train/rl/defaults.js';
import { type RlMethod, rlMethods } from '../../train/rl/methods/index.js';
import { aggregates } from '../../train/rl/parts/aggregate.js';
import { klEstimates } from '../../train/rl/parts/penalty.js';
import { lookUp, UsageError } from '../names.js';
import { checkComposition, partedConfig, settingKeys } from '../training/settingKeys.js';
import { type RlConfig, type RlVerb, rlKeys } from './config.js';

/** The recipe of a run: a composition of methods, with TRL's and verl's names for parts of it. */

/** verl's adv_estimator, as recipes. */
const estimators: Readonly<Record<string, string>> = { gae: 'ppo', reinforce_plus_plus: 'reinforce_plus_plus' };

/** TRL's loss_type, which is the aggregation alone. */
const lossTypes: Readonly<Record<string, string>> = {
  grpo: 'seq-mean-token-mean',
  bnpo: 'token-mean',
  dapo: 'token-mean',
  dr_grpo: 'seq-mean-token-sum-norm',
};

/** verl's names of estimates of the KL. */
const klTypes: Readonly<Record<string, string>> = { kl: 'k1', mse: 'k2', low_var_kl: 'k3' };

const compose = (spec: string, settings: Settings = {}, more: Readonly<Record<string, RlMethod>> = {}): RlRecipe => {
  try {
    return composeRl(spec, { methods: { ...rlMethods, ...more }, base: baseSlots, common: commonSettings, settings });
  } catch (error) {
    if (error instanceof VitroError) throw new UsageError(`rl: ${error.message}`);
    throw error;
  }
};

/** Settings of a recipe by its id, for lists and help. */
export const recipeSettings = (spec: string): Settings => compose(spec).settings;

export const rlOwnKeys = (verb: RlVerb) => rlKeys(verb);

/** Everything that the configuration of a command may hold. */
export const rlSchema = (verb: RlVerb) => {
  const own = rlKeys(verb);
  return z.strictObject({ ...own, ...settingKeys(rlMethods, own, ({ id }) => compose(id).settings) });
};

/** The recipe that the keys name: `rl`, else verl's adv_estimator, else that of the command. */
function baseSpec(verb: RlVerb, { rl, adv_estimator }: RlConfig): string {
  if (adv_estimator === undefined) return rl ?? verb;
  const recipes = Object.fromEntries(Object.entries(rlMethods).filter(([, method]) => method.recipe));
  const named = estimators[adv_estimator] ?? adv_estimator;
  lookUp('adv_estimator', named, recipes);
  if (rl === undefined) return named;
  if (rl.split('+')[0]?.trim() === named) return rl;
  throw new UsageError(`adv_estimator: "${adv_estimator}" and rl: "${rl}" name two recipes; give one of them`);
}

/** The aggregation that the keys name. */
function aggregateOf({ loss_agg_mode, loss_type }: RlConfig): string | undefined {
  if (loss_agg_mode !== undefined) lookUp('loss_agg_mode', loss_agg_mode, aggregates);
  if (loss_type === undefined) return loss_agg_mode;
  const found = Object.hasOwn(lossTypes, loss_type) ? lossTypes[loss_type] : undefined;
  if (found === undefined) {
    const method = rlMethods[loss_type];
    const hint = method ? `it is a method here: --rl grpo+${loss_type}` : `it must be one of ${Object.keys(lossTypes).join(', ')}`;
    throw new UsageError(`loss_type: "${loss_type}" is not allowed; ${hint}`);
  }
  if (loss_agg_mode !== undefined && loss_agg_mode !== found)
    throw new UsageError(`loss_type: "${loss_type}" is ${found}, but loss_agg_mode is ${loss_agg_mode}; give one of them`);
  return found;
}

/** A patch that replaces the aggregation and nothing else. */
const aggregatePatch = (name: string): RlMethod => ({
  id: `loss_agg_mode=${name}`,
  summary: `the aggregation ${name}`,
  paper: "the field's standard",
  equation: '',
  defaults: {},
  limits: [],
  provenance: 'repo',
  assumes: [],
  slots: { aggregate: lookUp('loss_agg_mode', name, aggregates) },
});

/** Values of settings under other tools' names. */
function ownValues(settings: Settings): Settings {
  const { scale_rewards, kl_loss_type } = settings;
  return {
    ...settings,
    ...(typeof scale_rewards === 'boolean' ? { scale_rewards: scale_rewards ? 'group' : 'none' } : {}),
    ...(typeof kl_loss_type === 'string' && Object.hasOwn(klTypes, kl_loss_type) ? { kl_loss_type: klTypes[kl_loss_type] as string } : {}),
  };
}

/** Settings that are one of a few names. */
const choices: Readonly<Record<string, readonly string[]>> = {
  kl_loss_type: Object.keys(klEstimates),
  scale_rewards: ['group', 'batch', 'none'],
};

function checkChoices(settings: Settings): void {
  for (const [key, allowed] of Object.entries(choices)) {
    const value = settings[key];
    if (typeof value === 'string' && !allowed.includes(value))
      throw new UsageError(`${key}: "${value}" is not allowed; it must be one of ${allowed.join(', ')}`);
  }
}

/** TRL counts completions of a step; the recipe counts problems. */
function promptsPerStep(
  { per_device_train_batch_size: batch, gradient_accumulation_steps: parts = 1 }: RlConfig,
  n: number,
): number | undefined {
  if (batch === undefined) {
    if (parts > 1)
      throw new UsageError('gradient_accumulation_steps belongs to per_device_train_batch_size; give both, or prompts_per_step');
    return undefined;
  }
  const prompts = (batch * parts) / n;
  if (!Number.isInteger(prompts))
    throw new UsageError(
      `per_device_train_batch_size x gradient_accumulation_steps is ${batch * parts} completions, which num_generations ${n} does not divide; give prompts_per_step`,
    );
  return prompts;
}

/** A checked configuration as its own keys and the composed recipe. */
export function rlRecipeOf(verb: RlVerb, checked: object): { readonly config: RlConfig; readonly recipe: RlRecipe } {
  const { config, settings } = partedConfig(checked as RlConfig, rlKeys(verb));
  const ofMethods = Object.entries(config.method_settings ?? {});
  const level = config.importance_sampling_level;
  if (level !== undefined && level !== 'token' && level !== 'sequence')
    throw new UsageError(`importance_sampling_level: "${level}" is not allowed; it must be token or sequence`);
  let spec = baseSpec(verb, config);
  const named = spec.split('+').map((id) => id.trim());
  if (level === 'sequence' && !named.includes('gspo')) spec = `${spec}+gspo`;
  const aggregate = aggregateOf(config);
  const more: Record<string, RlMethod> = {};
  if (aggregate !== undefined && compose(spec).slots.aggregate.name !== aggregate) {
    const patch = aggregatePatch(aggregate);
    more[patch.id] = patch;
    spec = `${spec}+${patch.id}`;
  }
  const { settings: known, applied } = compose(spec, {}, more);
  for (const [id] of ofMethods) if (!applied.includes(id)) throw new UsageError(`method_settings: ${id} is not part of ${spec}`);
  const given = ownValues(Object.assign({}, settings, ...ofMethods.map(([, own]) => own)) as Settings);
  checkComposition(spec, given, known, rlMethods, 'rl');
  checkChoices(given);
  const prompts = promptsPerStep(config, Number(given.num_generations ?? known.num_generations));
  if (prompts !== undefined && given.prompts_per_step !== undefined)
    throw new UsageError('per_device_train_batch_size and prompts_per_step say the same; give one of them');
  const recipe = compose(spec, { ...given, ...(prompts === undefined ? {} : { prompts_per_step: prompts }) }, more);
  for (const name of ['num_generations', 'prompts_per_step', 'max_completion_length', 'max_batch_tokens']) {
    const value = recipe.settings[name];
    if (!(Number.isInteger(value) && Number(value) > 0))
      throw new UsageError(`${name}: ${JSON.stringify(value)} is not allowed; it must be a whole number of at least 1`);
  }
  return { config, recipe };
}
