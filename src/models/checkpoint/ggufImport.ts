import { NDArray } from '../../tensor/array.js';
import { dtypeInfo } from '../../tensor/dtype.js';
import { CheckpointError } from './checkpointError.js';
import { encodeFloats } from './codec.js';
import { FileSource } from './fileSource.js';
import type { GgufSource } from './gguf.js';
import { configOfGguf, headsOf, ropeThetaOf } from './ggufConfig.js';
import { fromGgufName, type GgufArchitecture, rotatedProjection, storedPlusOne } from './ggufNames.js';
import type { StoredTensor } from './readTensor.js';
import { halfSplitRows } from './ropeOrder.js';
import { llama3ScalingOf } from './ropeScaling.js';
import type { ReadOptions, TensorSource } from './tensorSource.js';

const ropeFreqs = 'rope_freqs.weight';

/** Gemma's norms as Hugging Face stores them: the file's value minus 1. */
class GemmaSource extends FileSource {
  override async read(name: string, options: ReadOptions = {}): Promise<NDArray> {
    if (!storedPlusOne('gemma2', name)) return super.read(name, options);
    const stored = await super.read(name);
    const values = (stored.data as Float32Array).map((v) => v - 1);
    const dtype = options.dtype ?? 'f32';
    const data = dtypeInfo[dtype].create(new ArrayBuffer(values.length * dtypeInfo[dtype].bytes), 0, values.length);
    encodeFloats(values, dtype, data, values.length);
    return new NDArray(dtype, stored.shape, data);
  }
}

/** rope_scaling of a file that stores divisors of the frequencies. */
async function scalingOf(source: GgufSource, config: Record<string, unknown>): Promise<Record<string, unknown>> {
  const divisors = (await source.read(ropeFreqs)).data as Float32Array;
  const scaling = llama3ScalingOf(divisors, ropeThetaOf(config));
  if (!scaling)
    throw new CheckpointError(
      source.file.path,
      `${ropeFreqs} holds divisors that are not those of Llama 3; this scaling of positions is unknown`,
    );
  return { rope_scaling: { rope_type: 'llama3', ...scaling } };
}

/**
 * A GGUF model under Hugging Face's names, with a config record made from its metadata. Rows of rotary projections come in Hugging Face's
 * order, Gemma's norms without the 1 that GGUF adds. Throws where the architecture or a tensor has no counterpart.
 */
export async function ggufAsHuggingFace(source: GgufSource): Promise<{ source: TensorSource; config: Record<string, unknown> }> {
  const { file, names, metadata } = source;
  const tied = !names.includes('output.weight');
  const plain = configOfGguf(metadata, { tied, biased: names.includes('blk.0.attn_q.bias') });
  const config = names.includes(ropeFreqs) ? { ...plain, ...(await scalingOf(source, plain)) } : plain;
  const architecture = config.model_type as GgufArchitecture;
  const { heads, kvHeads } = headsOf(config);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of source.tensors) {
    if (name === ropeFreqs) continue;
    const hfName = fromGgufName(architecture, name);
    if (!hfName)
      throw new CheckpointError(
        file.path,
        `the tensor "${name}" has no counterpart in Hugging Face's ${architecture}; read the file with openGguf`,
      );
    const rotated = rotatedProjection(architecture, hfName);
    const rowMap = rotated && halfSplitRows(tensor.shape[0] ?? 0, rotated === 'q' ? heads : kvHeads);
    tensors.set(hfName, { ...tensor, name: hfName, rowMap });
  }
  const Source = architecture === 'gemma2' ? GemmaSource : FileSource;
  return { source: new Source(file, tensors, metadata), config };
}
