import { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import type { WriteOptions } from './atomicFile.js';
import {
  floatCopy,
  type LazyTensor,
  loadTensor,
  tensorEntries,
  type WritableTensor,
  type WritableTensors,
  writtenShape,
} from './emitTensor.js';
import { ggufArchitectureOf, ggufFieldsOf, headsOf, ropeScalingOf, ropeThetaOf } from './ggufConfig.js';
import { rotatedProjection, storedPlusOne, toGgufName } from './ggufNames.js';
import type { GgufField, GgufTensorType } from './ggufTypes.js';
import { writeGguf } from './ggufWrite.js';
import { permuteForGguf } from './ropeOrder.js';
import { type Llama3Scaling, llama3Divisors } from './ropeScaling.js';

export interface GgufExportOptions extends WriteOptions {
  /** under Hugging Face's names */
  readonly tensors: WritableTensors;
  /** config.json of the model */
  readonly config: Readonly<Record<string, unknown>>;
  /** tokenizer.ggml.* fields; without them the file holds no vocabulary, and llama.cpp refuses it */
  readonly tokenizer?: Readonly<Record<string, GgufField>>;
  /** further fields, for example general.name */
  readonly metadata?: Readonly<Record<string, GgufField>>;
  /** default F16 */
  readonly dtype?: GgufTensorType;
  /** Hugging Face names of matrices that stand [in, out] and must be turned */
  readonly transpose?: (name: string) => boolean;
}

/** llama.cpp's number of the file's main type (enum llama_ftype). */
const fileType: Readonly<Record<GgufTensorType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7, BF16: 32 };

/** A tensor whose values change on the way into the file: made when its turn comes. */
const changed = (name: string, tensor: WritableTensor, turn: boolean, change: (values: NDArray) => NDArray): LazyTensor => ({
  dtype: 'f32',
  shape: writtenShape(name, tensor.shape, turn),
  load: async () => change(floatCopy(await loadTensor(tensor), turn)),
});

const plusOne = (norm: NDArray): NDArray =>
  new NDArray(
    'f32',
    norm.shape,
    (norm.data as Float32Array).map((v) => v + 1),
  );

/**
 * Writes a model as a GGUF file that llama.cpp loads: names, metadata, row order of rotary projections and Gemma's norms are converted.
 * Vectors are F32; matrices have `dtype`. A head that is tied to the embedding is left out.
 */
export async function exportGguf(path: string, options: GgufExportOptions): Promise<void> {
  const { config } = options;
  const architecture = ggufArchitectureOf(config);
  const { heads, kvHeads, headDim } = headsOf(config);
  const scale = config.query_pre_attn_scalar;
  if (architecture === 'gemma2' && typeof scale === 'number' && scale !== headDim)
    throw new VitroError(
      `exportGguf: query_pre_attn_scalar ${scale} differs from the head size ${headDim}, and GGUF has no field for it; the file would hold another model`,
    );
  const tensors: [string, WritableTensor][] = [];
  const turned = new Set<string>();
  for (const [name, tensor] of tensorEntries(options.tensors)) {
    if (name.endsWith('.rotary_emb.inv_freq') || (config.tie_word_embeddings === true && name === 'lm_head.weight')) continue;
    const ggufName = toGgufName(architecture, name);
    if (!ggufName) throw new VitroError(`exportGguf: the tensor "${name}" has no name in GGUF's ${architecture} architecture`);
    const turn = options.transpose?.(name) ?? false;
    const rotated = rotatedProjection(architecture, name);
    if (rotated) {
      const reorder = (weight: NDArray): NDArray => permuteForGguf(weight, rotated === 'q' ? heads : kvHeads);
      tensors.push([ggufName, changed(name, tensor, turn, reorder)]);
    } else if (storedPlusOne(architecture, name)) tensors.push([ggufName, changed(name, tensor, turn, plusOne)]);
    else {
      tensors.push([ggufName, tensor]);
      if (turn) turned.add(ggufName);
    }
  }
  const scaling = ropeScalingOf(config);
  if (scaling?.type === 'llama3') {
    const divisors = llama3Divisors(headDim, ropeThetaOf(config), scaling.settings as unknown as Llama3Scaling);
    tensors.unshift(['rope_freqs.weight', new NDArray('f32', [divisors.length], divisors)]);
  }
  const dtype = options.dtype ?? 'F16';
  const fields = ggufFieldsOf(config);
  const { 'general.architecture': general, ...own } = fields;
  const metadata: Record<string, GgufField> = {
    ...(general && { 'general.architecture': general }),
    'general.file_type': { type: 'u32', value: fileType[dtype] },
    'general.quantization_version': { type: 'u32', value: 2 },
    ...own,
    ...options.tokenizer,
    ...options.metadata,
  };
  await writeGguf(path, { metadata, tensors, dtype, transpose: (name) => turned.has(name), openFile: options.openFile });
}
