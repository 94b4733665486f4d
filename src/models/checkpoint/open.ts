import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, fileSystemError } from './checkpointError.js';
import { openGguf } from './gguf.js';
import { ggufAsHuggingFace } from './ggufImport.js';
import { openLlama2c } from './llama2c.js';
import { openSafetensors, openShardedSafetensors, readJsonObject } from './safetensors.js';
import type { TensorSource } from './tensorSource.js';

export type CheckpointKind = 'safetensors' | 'gguf' | 'llama2c';

export interface Checkpoint {
  readonly kind: CheckpointKind;
  /** tensors under Hugging Face's names, linear weights [out, in] */
  readonly source: TensorSource;
  /** config.json beside the weights, or a record of the same form made from the file's own metadata */
  readonly config?: Readonly<Record<string, unknown>>;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

async function openFolder(folder: string): Promise<Checkpoint> {
  const single = join(folder, 'model.safetensors');
  const index = `${single}.index.json`;
  const source = (await exists(single))
    ? await openSafetensors(single)
    : (await exists(index))
      ? await openShardedSafetensors(index)
      : undefined;
  if (!source)
    throw new CheckpointError(
      folder,
      'holds neither model.safetensors nor model.safetensors.index.json; give the path of a .gguf or .bin file directly, and convert pickled weights to safetensors',
    );
  return withConfig({ kind: 'safetensors', source }, join(folder, 'config.json'));
}

/** Adds the config that stands beside the weights, if there is one. */
async function withConfig(checkpoint: Checkpoint, path: string): Promise<Checkpoint> {
  try {
    return (await exists(path)) ? { ...checkpoint, config: await readJsonObject(path) } : checkpoint;
  } catch (error) {
    await checkpoint.source.close();
    throw error;
  }
}

async function openGgufModel(path: string): Promise<Checkpoint> {
  const file = await openGguf(path);
  try {
    return { kind: 'gguf', ...(await ggufAsHuggingFace(file)) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Opens the weights of a model: a folder in Hugging Face's layout (one or several .safetensors files), a .safetensors file or its index, a
 * .gguf file, or a llama2.c .bin file. Close the source when done.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const found = await stat(path).catch((error: unknown) => Promise.reject(fileSystemError(path, 'opening', error)));
  if (found.isDirectory()) return openFolder(path);
  const config = join(path, '..', 'config.json');
  if (path.endsWith('.safetensors')) return withConfig({ kind: 'safetensors', source: await openSafetensors(path) }, config);
  if (path.endsWith('.safetensors.index.json'))
    return withConfig({ kind: 'safetensors', source: await openShardedSafetensors(path) }, config);
  if (path.endsWith('.gguf')) return openGgufModel(path);
  if (path.endsWith('.bin')) return { kind: 'llama2c', ...(await openLlama2c(path)) };
  throw new CheckpointError(
    path,
    'has no known ending; checkpoints are folders with model.safetensors, .safetensors, .gguf or llama2.c .bin files',
  );
}
