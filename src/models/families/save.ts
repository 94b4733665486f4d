import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { VitroError } from '../../tensor/errors.js';
import { writeFiles } from '../checkpoint/atomicFile.js';
import { writeSafetensorsFolder } from '../checkpoint/safetensorsWrite.js';
import { asHuggingFace, type ModelToWrite } from './checkpointOf.js';
import type { ConfigJson } from './configReader.js';

export interface SaveOptions extends ModelToWrite {
  /** further files of the folder by name, e.g. tokenizer.json */
  readonly tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  /** larger checkpoints are divided; default 5 GB */
  readonly max_shard_bytes?: number;
}

/** Keys that transformers declares as float; it refuses 12 there and wants 12.0. */
const floatKeys = [
  ...['attn_logit_softcapping', 'final_logit_softcapping', 'rms_norm_eps', 'layer_norm_eps', 'layer_norm_epsilon', 'rope_theta'],
  ...['rope_local_base_freq', 'partial_rotary_factor', 'rotary_pct', 'factor', 'attention_factor', 'beta_fast', 'beta_slow'],
  ...['low_freq_factor', 'high_freq_factor', 'mscale', 'mscale_all_dim'],
];
const wholeFloat = new RegExp(`("(?:${floatKeys.join('|')})": -?\\d+)(?=,?$)`, 'gm');

const fileText = (json: ConfigJson): string => `${JSON.stringify(json, null, 2).replace(wholeFloat, '$1.0')}\n`;

/**
 * Writes a model as a folder in Hugging Face's layout (config.json, generation_config.json, model.safetensors), which Python's transformers
 * loads unless the model is of Vitro's own kind. Every file appears whole or not at all.
 *
 * @returns the model_type that was written
 * @throws VitroError where the given family cannot express the config, or parameters do not fit it
 */
export async function saveModel(folder: string, options: SaveOptions): Promise<string> {
  const { family, json, tensors, transpose } = asHuggingFace(options);
  const { bos_token_id, eos_token_id, pad_token_id } = json;
  const files: Record<string, string | Uint8Array> = {
    ...options.tokenizerFiles,
    'config.json': fileText(json),
    'generation_config.json': fileText({ bos_token_id, eos_token_id, pad_token_id }),
  };
  for (const name of Object.keys(files))
    if (!/^[\w.-]+$/.test(name) || name.startsWith('.')) throw new VitroError(`saveModel: ${JSON.stringify(name)} is no plain file name`);
  await mkdir(folder, { recursive: true });
  await writeSafetensorsFolder(folder, tensors, {
    transpose,
    ...(options.dtype ? { dtype: options.dtype } : {}),
    ...(options.max_shard_bytes ? { max_shard_bytes: options.max_shard_bytes } : {}),
  });
  await writeFiles(
    Object.entries(files).map(([name, content]) => ({
      path: join(folder, name),
      produce: (file) => file.write(typeof content === 'string' ? new TextEncoder().encode(content) : content),
    })),
  );
  return family.model_type;
}
