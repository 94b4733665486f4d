import { type AtomicFile, type WriteOptions, writeFiles } from './atomicFile.js';
import { CheckpointError } from './checkpointError.js';
import { CheckpointFile } from './checkpointFile.js';
import { codecs } from './codec.js';
import { encodedPieces, floatCopy, loadTensor, tensorEntries, type WritableTensors, writtenShape } from './emitTensor.js';
import { FileSource, lookUp, openWith } from './fileSource.js';
import { type Llama2cSizes, llama2cConfig, llama2cLayout, llama2cSizesOf, sizesComplaint } from './llama2cLayout.js';
import type { StoredTensor } from './readTensor.js';
import { halfSplitRows, permuteForGguf } from './ropeOrder.js';
import type { TensorSource } from './tensorSource.js';

/** "ak42" */
const magic = 0x616b3432;
/** "PK", the start of what torch.save writes */
const zipMagic = 0x04034b50;
const versionedHeaderBytes = 256;
const legacyHeaderBytes = 28;

interface Header {
  readonly version: 0 | 1;
  readonly sizes: Llama2cSizes;
  readonly start: number;
}

const sizesAt = (view: DataView, at: number): Omit<Llama2cSizes, 'shared'> => {
  const [dim = 0, hidden_dim = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0, vocab_size = 0, seq_len = 0] = Array.from(
    { length: 7 },
    (_, i) => view.getInt32(at + 4 * i, true),
  );
  return { dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len };
};

/** Seven int32 sizes, bare (legacy; a negative vocabulary says that the head is a matrix of its own) or after magic and version. */
async function readHeader(file: CheckpointFile): Promise<Header> {
  if (file.size < legacyHeaderBytes)
    throw new CheckpointError(file.path, `no llama2.c checkpoint: ${file.size} bytes are too few for a header`);
  const bytes = await file.bytes(0, Math.min(file.size, versionedHeaderBytes));
  const view = new DataView(bytes.buffer);
  if (view.getUint32(0, true) === zipMagic)
    throw new CheckpointError(
      file.path,
      'is a PyTorch file (pickled), which Vitro does not read because loading one can run code; convert it to safetensors',
    );
  if (view.getUint32(0, true) !== magic) {
    const sizes = sizesAt(view, 0);
    return {
      version: 0,
      sizes: { ...sizes, vocab_size: Math.abs(sizes.vocab_size), shared: sizes.vocab_size > 0 },
      start: legacyHeaderBytes,
    };
  }
  const version = view.getInt32(4, true);
  if (version !== 1)
    throw new CheckpointError(
      file.path,
      `is a llama2.c checkpoint of version ${version}; Vitro reads the legacy format and version 1 (export.py --version 1)`,
    );
  if (file.size < versionedHeaderBytes)
    throw new CheckpointError(file.path, `no llama2.c checkpoint: its header of ${versionedHeaderBytes} bytes is truncated`);
  return { version, sizes: { ...sizesAt(view, 8), shared: view.getUint8(36) !== 0 }, start: versionedHeaderBytes };
}

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/**
 * Opens a float32 checkpoint of karpathy's llama2.c (legacy .bin, or version 1 with the "ak42" header) under Hugging Face's names. The rows
 * of query and key projections are reordered from interleaved to half-split rotary pairs while reading.
 */
export async function openLlama2c(path: string): Promise<{ source: TensorSource; config: Record<string, unknown> }> {
  return openWith(await CheckpointFile.open(path), async (file) => {
    const { version, sizes, start } = await readHeader(file);
    const complaint = sizesComplaint(sizes);
    if (complaint) throw new CheckpointError(path, `no llama2.c checkpoint: ${complaint}`);
    const layout = llama2cLayout(sizes, version);
    const bytes = layout.reduce((sum, { shape }) => sum + elements(shape) * 4, start);
    if (bytes !== file.size)
      throw new CheckpointError(
        path,
        `no llama2.c checkpoint: its sizes ${JSON.stringify(sizes)} take ${bytes} bytes, the file has ${file.size}; it is truncated or of another format`,
      );
    const tensors = new Map<string, StoredTensor>();
    let offset = start;
    for (const { name, shape, heads } of layout) {
      const rowMap = heads === undefined ? undefined : halfSplitRows(shape[0] ?? 0, heads);
      if (name !== undefined) tensors.set(name, { name, codec: codecs.F32, shape, offset, rowMap });
      offset += elements(shape) * 4;
    }
    return { source: new FileSource(file, tensors, { version, ...sizes }), config: llama2cConfig(sizes) };
  });
}

/** cos and sin of position * 10000^(-2i/d), i < d/2, which legacy files carry. */
function rotaryTable(sizes: Llama2cSizes, f: (angle: number) => number): Uint8Array {
  const half = sizes.dim / sizes.n_heads / 2;
  const out = new Float32Array(sizes.seq_len * half);
  for (let t = 0; t < sizes.seq_len; t++)
    for (let i = 0; i < half; i++) {
      // angles are rounded to float32 as there
      const frequency = Math.fround(1 / Math.fround(10000 ** Math.fround((2 * i) / (2 * half))));
      out[t * half + i] = f(Math.fround(t * frequency));
    }
  return new Uint8Array(out.buffer);
}

export interface Llama2cWriteOptions extends WriteOptions {
  /** under Hugging Face's names */
  readonly tensors: WritableTensors;
  /** config.json of a llama model with rope_theta 10000 and rms_norm_eps 1e-5 */
  readonly config: Readonly<Record<string, unknown>>;
  /** names of matrices that stand [in, out] and must be turned */
  readonly transpose?: (name: string) => boolean;
}

/** Writes the legacy float32 format of llama2.c, which its run.c runs. */
export async function writeLlama2c(path: string, { tensors, config, transpose, openFile }: Llama2cWriteOptions): Promise<void> {
  const sizes = llama2cSizesOf(config);
  const given = new Map(tensorEntries(tensors));
  const layout = llama2cLayout(sizes, 0);
  for (const { name, shape } of layout) {
    if (name === undefined) continue;
    const written = writtenShape(name, lookUp(path, given, name).shape, transpose?.(name) ?? false);
    if (written.join() !== shape.join())
      throw new CheckpointError(path, `"${name}" has the shape [${written.join(', ')}], the config asks for [${shape.join(', ')}]`);
  }
  const produce = async (file: AtomicFile): Promise<void> => {
    const { dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len, shared } = sizes;
    const head = Int32Array.of(dim, hidden_dim, n_layers, n_heads, n_kv_heads, shared ? vocab_size : -vocab_size, seq_len);
    await file.write(new Uint8Array(head.buffer));
    const tables = [Math.cos, Math.sin];
    for (const { name, heads } of layout) {
      if (name === undefined) {
        await file.write(rotaryTable(sizes, tables.shift() ?? Math.cos));
        continue;
      }
      const turn = transpose?.(name) ?? false;
      const tensor = await loadTensor(lookUp(path, given, name));
      const ordered = heads === undefined ? tensor : permuteForGguf(floatCopy(tensor, turn), heads);
      for (const piece of encodedPieces(ordered, 'f32', turn && heads === undefined)) await file.write(piece);
    }
  };
  await writeFiles([{ path, produce }], { openFile });
}
