import type { Batch, BatchSource } from '../../data/stream/batch.js';
import type { EvalSet } from '../../evaluate/languageModel.js';
import { type CausalModel, type DecoderConfig, decoderModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { ScheduleMethod } from '../../optim/schedule/index.js';
import type { OptimizerMethod } from '../../optim/transform/index.js';
import type { NDArray } from '../../tensor/array.js';
import type { ObjectiveMethod } from '../../train/objective/slot.js';
import { type PretrainArguments, type PretrainRecipe, pretrain } from '../../train/pretrain.js';
import { partOf, type Recipe } from '../recipe.js';
import type { Testbed } from './testbed.js';
import { tunedSettings } from './tuned.js';

/** Tokens that a testbed trains and measures on. */
export interface TestbedData {
  readonly vocab_size: number;
  /** names the data in run files, with a digest of its content */
  readonly identity: Readonly<Record<string, unknown>>;
  source(seed: number): BatchSource;
  readonly evaluation: readonly EvalSet[];
}

/** A testbed that trains a decoder on token batches. */
export interface PretrainingTestbed extends Omit<Testbed, 'task' | 'steps' | 'run' | 'tuned' | 'base' | 'shared' | 'cost'> {
  /** what differs from the usual methods of each slot */
  readonly base?: Testbed['base'];
  readonly shared?: Testbed['shared'];
  readonly cost?: string;
  readonly model: Omit<DecoderConfig, 'vocab_size'>;
  readonly args: PretrainArguments;
  /** loaded once */
  data(recipe: Recipe): Promise<TestbedData>;
  /** parameters to start from, and what identifies them; default: random ones */
  readonly start?: { readonly identity: unknown; params(threads: number): Promise<ParamTree<NDArray>> };
  /** evaluations of the loss on a batch that a run may spend, gradients counted as 3; replaces max_steps */
  readonly max_forward_passes?: number;
}

/** The slots of pretraining and the methods that are usual in them. */
export const pretrainingBase: Testbed['base'] = {
  optimizer: 'adamw',
  schedule: 'cosine',
  objective: 'next-token',
  tokenization: 'deterministic',
  attention: 'softmax',
  position: 'rope',
};

/** Decay of the moments as suits short runs; the usual weight decay. */
const usualSettings: Testbed['shared'] = { optimizer: { adam_beta2: 0.95, weight_decay: 0.1 }, schedule: { min_lr_ratio: 0 } };

/** The model that a recipe makes of a config: its attention and position methods with their settings. */
export const modelOf = (config: DecoderConfig, recipe: Recipe): CausalModel =>
  decoderModel({
    ...config,
    ...(recipe.attention ? { attention_method: recipe.attention.method, attention_settings: recipe.attention.settings } : {}),
    ...(recipe.position ? { position_method: recipe.position.method, position_settings: recipe.position.settings } : {}),
  });

/** The methods of the training loop. */
export const loopRecipe = (recipe: Recipe): PretrainRecipe => ({
  optimizer: partOf<OptimizerMethod>(recipe, 'optimizer'),
  schedule: partOf<ScheduleMethod>(recipe, 'schedule'),
  objective: partOf<ObjectiveMethod>(recipe, 'objective'),
});

/** Passes over a batch that one step of an optimizer costs: 3 for a gradient, 1 for the loss alone, and its own evaluations. */
function passesPerStep(recipe: Recipe): number {
  const { method, settings } = partOf<OptimizerMethod>(recipe, 'optimizer');
  const evaluations = method.lossEvaluations?.(settings) ?? 0;
  return method.lossEvaluations === undefined ? 3 : evaluations + (needsSomeGradient(method, settings) ? 3 : 0);
}

/** Whether a method of loss evaluations also takes gradients: asked with one spec of every role. */
function needsSomeGradient(method: OptimizerMethod, settings: Recipe[string]['settings']): boolean {
  const roles = ['matrix', 'embedding', 'vector'] as const;
  return roles.some(
    (role) => method.needsGradient?.({ isTreeLeaf: true, role, shape: [1], init: { kind: 'zeros' } }, role, settings) ?? true,
  );
}

/** Makes a testbed of its description. */
export function pretrainingTestbed(about: PretrainingTestbed): Testbed {
  const { model, args, data, start, max_forward_passes, cost = 'tokens', ...rest } = about;
  const argsOf = (recipe: Recipe): PretrainArguments =>
    max_forward_passes === undefined ? args : { ...args, max_steps: Math.floor(max_forward_passes / passesPerStep(recipe)) };
  return {
    ...rest,
    cost,
    base: { ...pretrainingBase, ...about.base },
    shared: { ...usualSettings, ...about.shared },
    tuned: tunedSettings(about.id),
    task: async (recipe) => ({
      model,
      args: argsOf(recipe),
      data: (await data(recipe)).identity,
      ...(start ? { start: start.identity } : {}),
    }),
    steps: (recipe) => argsOf(recipe).max_steps,
    run: async (recipe, { seed, threads, signal, onMetrics }) => {
      const { vocab_size, source, evaluation } = await data(recipe);
      const { status, metrics, ledger } = await pretrain({
        model: modelOf({ ...model, vocab_size }, recipe),
        recipe: loopRecipe(recipe),
        args: argsOf(recipe),
        data: source(seed),
        evaluation,
        seed,
        threads,
        ...(start ? { start: await start.params(threads) } : {}),
        ...(signal ? { signal } : {}),
        ...(onMetrics ? { onMetrics } : {}),
      });
      return { status, metrics, ledger };
    },
  };
}

/** A value that is made at the first call and kept. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Number of counted targets in batches. */
export const countTargets = (batches: readonly Batch[]): number =>
  batches.reduce((n, { targets }) => n + (targets.data as Int32Array).reduce((k, t) => k + (t >= 0 ? 1 : 0), 0), 0);
