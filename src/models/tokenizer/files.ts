import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isNativeError } from 'node:util/types';
import type { Tokenizer } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';

import { tokenizerFromJson } from './huggingFace.js';
import { asRecord, type JsonRecord, parseJson } from './json.js';
import { tokenizerFromLlama2c } from './llama2c.js';
import { tokenizerFromSentencePiece } from './sentencePiece.js';
import type { SerializableTokenizer } from './subwordTokenizer.js';
import { vocabularyAsJson } from './vocabAndMerges.js';

/** No tokenizer of the field comes near this. */
const maxBytes = 512 * 2 ** 20;

/**
 * Reads the tokenizer of a checkpoint folder (tokenizer.json, else tokenizer.model, tokenizer.bin, vocab.json with merges.txt), or one such
 * file; tokenizer_config.json, special_tokens_map.json and chat_template.jinja beside it count too. A GGUF file's vocabulary is read by
 * `tokenizerFromGgufMetadata`.
 */
export async function loadTokenizer(path: string): Promise<SerializableTokenizer> {
  const info = await stat(path).catch((error: Error) => {
    throw new VitroError(`no tokenizer at ${path}: ${error.message}`, { cause: error });
  });
  const folder = info.isDirectory() ? path : dirname(path);
  const names = info.isDirectory() ? ['tokenizer.json', 'tokenizer.model', 'tokenizer.bin', 'vocab.json'] : [basename(path)];
  for (const name of names) {
    const bytes = await read(join(folder, name));
    if (!bytes) continue;
    try {
      return await build(name, bytes, folder);
    } catch (error) {
      if (error instanceof VitroError) throw new VitroError(`${join(folder, name)}: ${error.message}`, { cause: error });
      throw error;
    }
  }
  throw new VitroError(`${path} holds no tokenizer; expected one of ${names.join(', ')}`);
}

async function build(name: string, bytes: Uint8Array, folder: string): Promise<SerializableTokenizer> {
  const config = await readConfig(folder);
  if (name.endsWith('.model')) return tokenizerFromSentencePiece(bytes, config);
  if (name.endsWith('.bin')) return tokenizerFromLlama2c(bytes, config);
  if (!name.endsWith('.json')) throw new VitroError('unknown kind of tokenizer file; expected .json, .model or .bin');
  const json = parseJson(text(bytes), name);
  const map = await readJson(join(folder, 'special_tokens_map.json'));
  if (name !== 'vocab.json') return tokenizerFromJson(json, config, map ?? {});
  const merges = await read(join(folder, 'merges.txt'));
  if (!merges) throw new VitroError('vocab.json needs merges.txt beside it');
  return tokenizerFromJson(vocabularyAsJson(json, text(merges)), config, map ?? {});
}

async function readConfig(folder: string): Promise<JsonRecord> {
  const config = asRecord((await readJson(join(folder, 'tokenizer_config.json'))) ?? {}, 'tokenizer_config.json');
  const template = await read(join(folder, 'chat_template.jinja'));
  return template ? { ...config, chat_template: text(template) } : config;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function readJson(path: string): Promise<unknown> {
  const bytes = await read(path);
  return bytes && parseJson(text(bytes), path);
}

async function read(path: string): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw new VitroError(`${path} has ${size} bytes; tokenizer files have at most ${maxBytes}`);
    return await readFile(path);
  } catch (error) {
    if (isNativeError(error) && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

const isSerializable = (tokenizer: Tokenizer): tokenizer is SerializableTokenizer => 'toJson' in tokenizer && 'config' in tokenizer;

/** Writes tokenizer.json and tokenizer_config.json into a folder, each under another name first, then renamed. */
export async function saveTokenizer(folder: string, tokenizer: Tokenizer): Promise<void> {
  if (!isSerializable(tokenizer)) throw new VitroError('this tokenizer has no tokenizer.json form and cannot be saved');
  await mkdir(folder, { recursive: true });
  await replace(join(folder, 'tokenizer.json'), tokenizer.toJson());
  await replace(join(folder, 'tokenizer_config.json'), tokenizer.config);
}

async function replace(path: string, value: unknown): Promise<void> {
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}
