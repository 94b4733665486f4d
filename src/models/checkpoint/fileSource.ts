import { closest, distance } from 'fastest-levenshtein';
import type { NDArray } from '../../tensor/array.js';
import { CheckpointError } from './checkpointError.js';
import type { CheckpointFile } from './checkpointFile.js';
import { productOf } from './checks.js';
import { readTensor, type StoredTensor } from './readTensor.js';
import type { ReadOptions, TensorInfo, TensorSource } from './tensorSource.js';

/** The entry of a name; an unknown name is an error that offers a near one. */
export function lookUp<T>(path: string, entries: ReadonlyMap<string, T>, name: string): T {
  const found = entries.get(name);
  if (found !== undefined) return found;
  const names = [...entries.keys()];
  const near = names.length > 0 ? closest(name, names) : undefined;
  const hint =
    near !== undefined && distance(near, name) <= name.length / 2 ? `; did you mean "${near}"?` : `; it holds ${names.length} tensors`;
  throw new CheckpointError(path, `has no tensor "${name}"${hint}`);
}

export const infoOf = ({ codec, shape }: StoredTensor): TensorInfo => ({
  dtype: codec.name,
  shape,
  byteLength: ((productOf(shape) ?? 0) / codec.blockElements) * codec.blockBytes,
});

/** The tensors of one file. */
export class FileSource implements TensorSource {
  readonly names: readonly string[];

  constructor(
    readonly file: CheckpointFile,
    readonly tensors: ReadonlyMap<string, StoredTensor>,
    readonly metadata: Readonly<Record<string, unknown>>,
  ) {
    this.names = [...tensors.keys()];
  }

  info(name: string): TensorInfo {
    return infoOf(lookUp(this.file.path, this.tensors, name));
  }

  async read(name: string, options?: ReadOptions): Promise<NDArray> {
    return readTensor(this.file, lookUp(this.file.path, this.tensors, name), options);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** Opens a file and makes a source of it; where that fails, the file is closed again. */
export async function openWith<T>(file: CheckpointFile, make: (file: CheckpointFile) => Promise<T>): Promise<T> {
  try {
    return await make(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}
