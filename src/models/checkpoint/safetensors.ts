import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CheckpointError, fileSystemError } from './checkpointError.js';
import { CheckpointFile } from './checkpointFile.js';
import { isSaneName } from './checks.js';
import { FileSource, lookUp, openWith } from './fileSource.js';
import { jsonComplaint } from './jsonKeys.js';
import { maxHeaderBytes, readSafetensorsHeader } from './safetensorsHeader.js';
import type { TensorSource } from './tensorSource.js';

/** Opens one .safetensors file. */
export async function openSafetensors(path: string): Promise<TensorSource> {
  return openWith(await CheckpointFile.open(path), async (file) => {
    const { tensors, metadata } = await readSafetensorsHeader(file);
    return new FileSource(file, tensors, metadata);
  });
}

/** Reads JSON of at most the size of a header. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > maxHeaderBytes) throw new CheckpointError(path, `has ${size} bytes; at most ${maxHeaderBytes} are accepted`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw fileSystemError(path, 'reading', error);
  }
  const complaint = jsonComplaint(text);
  if (complaint) throw new CheckpointError(path, complaint);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(path, `is no valid JSON (${(error as Error).message})`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new CheckpointError(path, 'holds no JSON object');
  return value as Record<string, unknown>;
}

/** The shard of every tensor of an index file. Shards must lie in the index's own folder. */
async function readWeightMap(path: string): Promise<{ shardOf: Map<string, string>; metadata: Record<string, unknown> }> {
  const { weight_map: map, metadata } = await readJsonObject(path);
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw new CheckpointError(path, 'has no weight_map from tensor names to shard files');
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (!isSaneName(name)) throw new CheckpointError(path, `names a tensor ${JSON.stringify(name.slice(0, 80))}, which is no usable name`);
    if (typeof shard !== 'string' || !/^[^/\\:\0]+\.safetensors$/.test(shard))
      throw new CheckpointError(path, `puts "${name}" into ${JSON.stringify(shard)}; a shard is a .safetensors file in the same folder`);
    shardOf.set(name, shard);
  }
  return { shardOf, metadata: typeof metadata === 'object' && metadata !== null ? (metadata as Record<string, unknown>) : {} };
}

/** Opens a checkpoint of several .safetensors files by its index (model.safetensors.index.json). */
export async function openShardedSafetensors(indexPath: string): Promise<TensorSource> {
  const { shardOf, metadata } = await readWeightMap(indexPath);
  const shards = new Map<string, TensorSource>();
  const close = async (): Promise<void> => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    for (const name of new Set(shardOf.values())) {
      const path = join(dirname(indexPath), name);
      shards.set(name, await openSafetensors(path).catch((error: unknown) => Promise.reject(missingShard(indexPath, name, error))));
    }
    const sources = new Map<string, TensorSource>();
    for (const [name, shard] of shardOf) {
      const source = shards.get(shard) as TensorSource;
      if (!source.names.includes(name)) throw new CheckpointError(indexPath, `puts "${name}" into ${shard}, which does not hold it`);
      sources.set(name, source);
    }
    return {
      names: [...sources.keys()],
      metadata,
      info: (name) => lookUp(indexPath, sources, name).info(name),
      read: async (name, options) => lookUp(indexPath, sources, name).read(name, options),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function missingShard(indexPath: string, name: string, error: unknown): unknown {
  const cause = error instanceof CheckpointError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code === 'ENOENT'
    ? new CheckpointError(indexPath, `names the shard ${basename(name)}, which is missing; download the checkpoint again`, { cause: error })
    : error;
}
