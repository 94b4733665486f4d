import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type DType, dtypeInfo, isFloat } from '../../tensor/dtype.js';
import { VitroError } from '../../tensor/errors.js';
import { type AtomicFile, type WriteOptions, writeFiles } from './atomicFile.js';
import { isSaneName, productOf } from './checks.js';
import { encodedPieces, loadTensor, tensorEntries, type WritableTensor, type WritableTensors, writtenShape } from './emitTensor.js';
import { maxHeaderBytes } from './safetensorsHeader.js';
import type { FloatDType } from './tensorSource.js';

export interface SafetensorsWriteOptions extends WriteOptions {
  /** strings that the header carries; Hugging Face expects {format: 'pt'}, which is the default */
  readonly metadata?: Readonly<Record<string, string>>;
  /** type of all floating-point tensors in the file; default: each its own */
  readonly dtype?: FloatDType;
  /** tensors to transpose while writing: Vitro's matrices are [in, out], a checkpoint's [out, in] */
  readonly transpose?: (name: string) => boolean;
}

/** Names in the file, in the order in which the reference implementation lays tensors out: large elements first keeps all aligned. */
const formatName: Readonly<Record<DType, string>> = {
  i64: 'I64',
  f32: 'F32',
  u32: 'U32',
  i32: 'I32',
  bf16: 'BF16',
  f16: 'F16',
  u8: 'U8',
  bool: 'BOOL',
};
const order = Object.keys(formatName);

interface Planned {
  readonly name: string;
  readonly tensor: WritableTensor;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly transpose: boolean;
  readonly bytes: number;
}

/** Order, types and sizes of the file: by dtype, then by name, so that equal tensors give equal bytes. */
function plan(tensors: WritableTensors, options: SafetensorsWriteOptions): Planned[] {
  const seen = new Set<string>();
  const planned = tensorEntries(tensors).map(([name, tensor]): Planned => {
    if (!isSaneName(name) || name === '__metadata__')
      throw new VitroError(`writeSafetensors: ${JSON.stringify(name)} is no usable tensor name`);
    if (seen.has(name)) throw new VitroError(`writeSafetensors: two tensors are named "${name}"`);
    seen.add(name);
    const transpose = options.transpose?.(name) ?? false;
    const shape = writtenShape(name, tensor.shape, transpose);
    const dtype = options.dtype && isFloat(tensor.dtype) ? options.dtype : tensor.dtype;
    return { name, tensor, dtype, shape, transpose, bytes: (productOf(shape) ?? Number.NaN) * dtypeInfo[dtype].bytes };
  });
  return planned.sort((a, b) => order.indexOf(a.dtype) - order.indexOf(b.dtype) || (a.name < b.name ? -1 : 1));
}

/** Eight bytes of length, then the JSON, padded with spaces so that the data starts at a multiple of 8. */
function header(planned: readonly Planned[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const meta = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  const entries: [string, unknown][] = meta.length > 0 ? [['__metadata__', Object.fromEntries(meta)]] : [];
  let at = 0;
  for (const { name, dtype, shape, bytes } of planned) {
    entries.push([name, { dtype: formatName[dtype], shape, data_offsets: [at, at + bytes] }]);
    at += bytes;
  }
  // JSON by hand at the top level: an object would put integer-like names first
  const json = new TextEncoder().encode(`{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > maxHeaderBytes)
    throw new VitroError(`writeSafetensors: the header would have ${length} bytes, at most ${maxHeaderBytes} are allowed`);
  const out = new Uint8Array(8 + length).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(json, 8);
  return out;
}

const produce =
  (planned: readonly Planned[], metadata: Readonly<Record<string, string>>) =>
  async (file: AtomicFile): Promise<void> => {
    await file.write(header(planned, metadata));
    for (const { name, tensor, dtype, transpose, bytes } of planned) {
      const start = file.position;
      for (const piece of encodedPieces(await loadTensor(tensor), dtype, transpose)) await file.write(piece);
      if (file.position - start !== bytes) throw new VitroError(`writeSafetensors: "${name}" changed its size while it was written`);
    }
  };

const defaultMetadata = { format: 'pt' };

/**
 * Writes one .safetensors file by streaming: nothing the size of the file is held. The file appears whole or not at all; equal tensors give
 * equal bytes, whatever their order. Integers keep their types.
 */
export async function writeSafetensors(path: string, tensors: WritableTensors, options: SafetensorsWriteOptions = {}): Promise<void> {
  const planned = plan(tensors, options);
  await writeFiles([{ path, produce: produce(planned, options.metadata ?? defaultMetadata) }], options);
}

/** Consecutive tensors gathered into shards of at most `limit` bytes; a larger tensor gets a shard of its own. */
function shards(planned: readonly Planned[], limit: number): Planned[][] {
  const out: Planned[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const tensor of planned) {
    if (bytes + tensor.bytes > limit) {
      out.push([]);
      bytes = 0;
    }
    out.at(-1)?.push(tensor);
    bytes += tensor.bytes;
  }
  return out;
}

const shardPattern = /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/;

/**
 * Writes the weights of a checkpoint folder under Hugging Face's names: model.safetensors, or shards of at most `max_shard_bytes` (default
 * 5 GB) with model.safetensors.index.json. Files appear only after all are complete; weights of an earlier, other division are removed.
 * Returns the names of the files.
 */
export async function writeSafetensorsFolder(
  folder: string,
  tensors: WritableTensors,
  options: SafetensorsWriteOptions & { readonly max_shard_bytes?: number } = {},
): Promise<string[]> {
  const limit = options.max_shard_bytes ?? 5e9;
  if (!(limit > 0)) throw new VitroError(`writeSafetensorsFolder: max_shard_bytes must be positive, got ${limit}`);
  const metadata = options.metadata ?? defaultMetadata;
  const parts = shards(plan(tensors, options), limit);
  const single = parts.length <= 1;
  const nameOf = (i: number): string => (single ? 'model.safetensors' : `model-${pad(i + 1)}-of-${pad(parts.length)}.safetensors`);
  const jobs = (single ? [parts[0] ?? []] : parts).map((part, i) => ({ name: nameOf(i), produce: produce(part, metadata) }));
  if (!single) {
    const weight_map = Object.fromEntries(
      parts.flatMap((part, i) => part.map((t) => [t.name, nameOf(i)] as const)).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    const total_size = parts.flat().reduce((sum, t) => sum + t.bytes, 0);
    const text = `${JSON.stringify({ metadata: { total_size }, weight_map }, null, 2)}\n`;
    jobs.push({ name: 'model.safetensors.index.json', produce: (file) => file.write(new TextEncoder().encode(text)) });
  }
  await writeFiles(
    jobs.map(({ name, produce: fill }) => ({ path: join(folder, name), produce: fill })),
    options,
  );
  const names = jobs.map(({ name }) => name);
  for (const old of await readdir(folder)) if (shardPattern.test(old) && !names.includes(old)) await unlink(join(folder, old));
  return names;
}

const pad = (n: number): string => String(n).padStart(5, '0');
