import { readFile } from 'node:fs/promises';
import { type OpenedModel, openModel, requireTokenizer } from '../../infer/index.js';
import { type ChatTemplateOptions, chatTemplateOf, type SerializableTokenizer, tokenizerFromJson } from '../../models/index.js';
import { UsageError } from '../names.js';
import { weightsHash } from './weights.js';

export interface ModelConfig {
  readonly model_name_or_path?: string | undefined;
  readonly tokenizer?: string | undefined;
  readonly chat_template_path?: string | undefined;
}

/** The model that a run goes on from. */
export interface StartingModel extends Pick<OpenedModel, 'model' | 'config' | 'params' | 'stop_token_ids'> {
  /** for run names */
  readonly name: string;
  readonly tokenizer: SerializableTokenizer;
  /** undefined where there is none */
  readonly chat_template: ChatTemplateOptions | undefined;
  readonly sha256: string;
}

/** The tokenizer with another chat template, which is saved with it. */
async function templated(tokenizer: SerializableTokenizer, path: string | undefined): Promise<SerializableTokenizer> {
  if (path === undefined) return tokenizer;
  const chat_template = await readFile(path, 'utf8').catch((error: Error) => {
    throw new UsageError(`chat_template_path: ${error.message}`);
  });
  return tokenizerFromJson(tokenizer.toJson(), { ...tokenizer.config, chat_template });
}

/** Opens the model, tokenizer and chat template of a configuration. */
export async function startingModel(config: ModelConfig): Promise<StartingModel> {
  const path = config.model_name_or_path;
  if (path === undefined)
    throw new UsageError(
      'no model to start from; give model_name_or_path, e.g. the output folder of "vitro pretrain" or a model of the hub',
    );
  const opened = await openModel(path, config.tokenizer === undefined ? {} : { tokenizer: config.tokenizer });
  const tokenizer = await templated(requireTokenizer(opened), config.chat_template_path);
  const { chat_template } = tokenizer.config;
  return {
    model: opened.model,
    config: opened.config,
    params: opened.params,
    stop_token_ids: opened.stop_token_ids,
    name: path.split(/[\\/]/).filter(Boolean).at(-1) ?? path,
    tokenizer,
    chat_template: chat_template === undefined || chat_template === null ? undefined : chatTemplateOf(tokenizer.config),
    sha256: weightsHash(opened.params),
  };
}
