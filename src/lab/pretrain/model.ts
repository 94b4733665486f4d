import { type DecoderConfig, loadModel, readConfig, resolveModelFolder } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { lookUp, UsageError } from '../names.js';
import type { Recipe, SlotSettings } from '../recipe.js';
import { weightsHash } from '../training/weights.js';
import type { PretrainConfig } from './config.js';
import { defaultPreset, presets } from './presets.js';

/** The model of a run before its tokenizer is known. */
export interface ModelChoice {
  /** for run names */
  readonly name: string;
  /** its vocabulary is the tokenizer's where it is undefined */
  readonly config: Omit<DecoderConfig, 'vocab_size'> & { readonly vocab_size?: number };
  /** as the key `tokenizer` names it */
  readonly tokenizer: string;
  readonly tuned: Readonly<Record<string, SlotSettings>>;
  /** parameters to start from, and what names them */
  readonly start?: { readonly params: ParamTree<NDArray>; readonly sha256: string };
}

async function continued(nameOrPath: string): Promise<ModelChoice> {
  const path = await resolveModelFolder(nameOrPath);
  const { config, params } = await loadModel(path);
  const name = nameOrPath.split(/[\\/]/).filter(Boolean).at(-1) ?? nameOrPath;
  return { name, config, tokenizer: path, tuned: {}, start: { params, sha256: weightsHash(params) } };
}

/** The sizes of a record, over those of its preset. */
function described({ preset = defaultPreset, ...sizes }: Readonly<Record<string, unknown>>): ModelChoice {
  const base = lookUp('model', String(preset), presets);
  const changed = Object.keys(sizes).length > 0;
  const name = changed ? 'custom' : String(preset);
  if (!changed) return { name, config: base.config, tokenizer: base.tokenizer, tuned: base.tuned };
  try {
    const json = { model_type: 'vitro', vocab_size: 1, ...('model_type' in sizes ? {} : base.config), ...sizes };
    const { vocab_size: _, ...config } = readConfig(json).config;
    const vocab = sizes.vocab_size;
    return {
      name,
      config: { ...config, ...(typeof vocab === 'number' ? { vocab_size: vocab } : {}) },
      tokenizer: base.tokenizer,
      tuned: {},
    };
  } catch (error) {
    if (error instanceof VitroError) throw new UsageError(`model: ${error.message}`);
    throw error;
  }
}

/** The model that a configuration names: a checkpoint, a preset or a record of sizes. */
export async function modelChoice({ model_name_or_path, model }: PretrainConfig): Promise<ModelChoice> {
  if (model_name_or_path === undefined) return described(typeof model === 'string' ? { preset: model } : (model ?? {}));
  if (model !== undefined) throw new UsageError('model_name_or_path and model are both given; give one of them');
  return continued(model_name_or_path);
}

/** The decoder of a run: vocabulary of the tokenizer, context of the rows, attention and position of the recipe where the user named them. */
export function decoderConfigOf(choice: ModelChoice, config: PretrainConfig, vocab: number, recipe: Recipe): DecoderConfig {
  const { vocab_size = vocab, max_position_embeddings } = choice.config;
  if (vocab > vocab_size)
    throw new UsageError(`the tokenizer has ${vocab} ids, the model a vocabulary of ${vocab_size}; name the model's own tokenizer`);
  const context = config.max_length ?? max_position_embeddings;
  if (choice.start && context > max_position_embeddings)
    throw new UsageError(`max_length: ${context} is longer than the context of ${choice.name}, ${max_position_embeddings}`);
  const { attention, position } = recipe;
  return {
    ...choice.config,
    vocab_size,
    max_position_embeddings: choice.start ? max_position_embeddings : context,
    ...(config.attention !== undefined && attention ? { attention_method: attention.method, attention_settings: attention.settings } : {}),
    ...(config.position !== undefined && position ? { position_method: position.method, position_settings: position.settings } : {}),
  };
}
