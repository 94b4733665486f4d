import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SnapshotOptions } from '../models/checkpoint/hub.js';
import { resolveModelFolder } from '../models/checkpoint/hub.js';
import { openCheckpoint } from '../models/checkpoint/open.js';
import { type LoadedModel, type LoadOptions, loadModel } from '../models/families/load.js';
import { loadTokenizer } from '../models/tokenizer/files.js';
import { tokenizerFromGgufMetadata } from '../models/tokenizer/gguf.js';
import type { SerializableTokenizer } from '../models/tokenizer/subwordTokenizer.js';
import { VitroError } from '../tensor/errors.js';

export interface OpenModelOptions extends Pick<LoadOptions, 'dtype' | 'onProgress'> {
  /** folder or file of a tokenizer, where it does not lie with the model */
  readonly tokenizer?: string;
  /** for models of the hub */
  readonly hub?: SnapshotOptions;
}

/** A language model with what is needed to talk to it. */
export interface OpenedModel extends LoadedModel {
  /** the folder or file that was loaded */
  readonly path: string;
  /** undefined where none lies with the model; `requireTokenizer` says so */
  readonly tokenizer: SerializableTokenizer | undefined;
  /** ids that end a text: those of generation_config.json and config.json, and the tokenizer's */
  readonly stop_token_ids: readonly number[];
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isFile(),
    () => false,
  );

/** The folder or file that a name stands for: itself, its snapshot of the hub, or the newest checkpoint of a training run that has not ended. */
export const resolveModel = async (nameOrPath: string, hub?: SnapshotOptions): Promise<string> =>
  weightsPath(await resolveModelFolder(nameOrPath, hub));

/** The tokenizer that is named, or the one that lies with the model; undefined where there is none. */
export const openTokenizer = (path: string, named?: string): Promise<SerializableTokenizer | undefined> =>
  named === undefined ? tokenizerOf(path) : loadTokenizer(named);

/** The weights of a path: itself, or the newest checkpoint of a training run that has not saved its result yet. */
async function weightsPath(path: string): Promise<string> {
  if (await isFile(path)) return path;
  const names = await readdir(path);
  if (names.some((name) => name.startsWith('model.safetensors'))) return path;
  const steps = names.flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  if (steps.length > 0) return join(path, `checkpoint-${Math.max(...steps)}`);
  const files = names.filter((name) => /\.(gguf|bin|safetensors)$/.test(name));
  const hint = files.length > 0 ? `; give one of its files: ${files.map((name) => join(path, name)).join(', ')}` : '';
  throw new VitroError(`${path} holds no model: there is neither model.safetensors nor a checkpoint-N folder${hint}`);
}

/** llama2.c keeps a vocabulary in a file of its own: tokenizer.bin, or the only tok*.bin there. */
async function llama2cTokenizer(folder: string, model: string): Promise<string | undefined> {
  const names = (await readdir(folder)).filter((name) => name !== model && /^tok.*\.bin$/.test(name));
  if (names.includes('tokenizer.bin')) return join(folder, 'tokenizer.bin');
  return names.length === 1 ? join(folder, names[0] as string) : undefined;
}

const tokenizerFiles = ['tokenizer.json', 'tokenizer.model', 'tokenizer.bin', 'vocab.json'];

async function tokenizerOf(path: string): Promise<SerializableTokenizer | undefined> {
  if (path.endsWith('.gguf')) {
    const { source } = await openCheckpoint(path);
    try {
      return source.metadata['tokenizer.ggml.model'] === undefined ? undefined : tokenizerFromGgufMetadata(source.metadata);
    } finally {
      await source.close();
    }
  }
  const folder = (await isFile(path)) ? dirname(path) : path;
  if (path.endsWith('.bin')) {
    const file = await llama2cTokenizer(folder, basename(path));
    return file === undefined ? undefined : loadTokenizer(file);
  }
  const names = await readdir(folder);
  return tokenizerFiles.some((name) => names.includes(name)) ? loadTokenizer(folder) : undefined;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return {};
    throw new VitroError(`${path} is damaged: ${(error as Error).message}`, { cause: error });
  }
}

async function stopTokens(path: string, { json }: LoadedModel, tokenizer: SerializableTokenizer | undefined): Promise<number[]> {
  const generation = await readJson(join(path, 'generation_config.json'));
  const named = [generation.eos_token_id, json.eos_token_id, tokenizer?.eos_token_id].flat();
  // llama2.c's models end a text by beginning the next one
  if (path.endsWith('.bin')) named.push(tokenizer?.bos_token_id);
  return [...new Set(named.filter((id): id is number => typeof id === 'number' && id >= 0))];
}

/**
 * Opens a model by folder, file or hub id: a folder in Hugging Face's layout, the output folder of `vitro pretrain` or one of its checkpoints, a
 * .gguf file, or a llama2.c .bin file with its vocabulary beside it.
 *
 * @throws VitroError where there is no model, or the tokenizer has ids that the model does not know
 */
export async function openModel(nameOrPath: string, options: OpenModelOptions = {}): Promise<OpenedModel> {
  const path = await resolveModel(nameOrPath, options.hub);
  const tokenizer = await openTokenizer(path, options.tokenizer);
  const loaded = await loadModel(path, options);
  const { vocab_size } = loaded.model;
  if (tokenizer && tokenizer.vocab_size > vocab_size)
    throw new VitroError(
      `${path}: the tokenizer has ${tokenizer.vocab_size} ids, but the model knows ${vocab_size}; they do not belong together, name the right tokenizer`,
    );
  return { ...loaded, path, tokenizer, stop_token_ids: await stopTokens(path, loaded, tokenizer) };
}

/** The model's tokenizer, or an error that says where one is looked for. */
export function requireTokenizer({ tokenizer, path }: Pick<OpenedModel, 'tokenizer' | 'path'>): SerializableTokenizer {
  if (tokenizer) return tokenizer;
  const where = path.endsWith('.bin') ? 'tokenizer.bin beside it' : path.endsWith('.gguf') ? 'its metadata' : tokenizerFiles.join(', ');
  throw new VitroError(`${path} has no tokenizer (looked for ${where}); give one with --tokenizer`);
}
