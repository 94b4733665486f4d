import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NDArray } from '../tensor/array.js';
import { compile } from '../tensor/compile/compile.js';
import { spec } from '../tensor/compile/template.js';
import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { iota } from '../tensor/ops/create.js';
import { constant, dimOf } from '../tensor/ops/operand.js';
import { mapTree, type Tree, treeLeaves } from '../tensor/tree.js';
import { modelLogits } from './causalModel.js';
import { writeFiles } from './checkpoint/atomicFile.js';
import { openGguf } from './checkpoint/gguf.js';
import { exportGguf } from './checkpoint/ggufExport.js';
import type { GgufField, GgufTensorType } from './checkpoint/ggufTypes.js';
import { writeLlama2c } from './checkpoint/llama2c.js';
import { openCheckpoint } from './checkpoint/open.js';
import type { FloatDType } from './checkpoint/tensorSource.js';
import type { SpecialTokens } from './families/checkpointOf.js';
import { type LoadedModel, loadModel } from './families/load.js';
import { saveModel } from './families/save.js';
import { saveTokenizer } from './tokenizer/files.js';
import { ggufFieldsOfTokenizer, llama2cVocabulary } from './tokenizer/ggufFields.js';
import type { SerializableTokenizer } from './tokenizer/subwordTokenizer.js';

/** Element types that each format holds; the first is the default. */
export const exportFormats = {
  safetensors: ['f32', 'f16', 'bf16'],
  gguf: ['f16', 'f32', 'bf16', 'q8_0', 'q4_0'],
  llama2c: ['f32'],
  onnx: ['f32'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type ExportFormat = keyof typeof exportFormats;

export interface ExportOptions {
  /** folder or file of the model */
  readonly path: string;
  readonly tokenizer?: SerializableTokenizer | undefined;
  readonly format: ExportFormat;
  /** one of the format's element types; default its first */
  readonly dtype?: string;
  /** safetensors: a folder; otherwise a file */
  readonly out: string;
}

/** Protobuf's limit, with room for the graph beside the weights. */
const onnxLimit = 1.9e9;

async function toSafetensors({ path, tokenizer, out }: ExportOptions, dtype: FloatDType): Promise<string[]> {
  const { config, params, family, json } = await loadModel(path, { dtype });
  const { bos_token_id, eos_token_id, pad_token_id } = json as SpecialTokens;
  await saveModel(out, { config, params, dtype, family: family.model_type, tokens: { bos_token_id, eos_token_id, pad_token_id } });
  if (tokenizer) await saveTokenizer(out, tokenizer);
  return [out];
}

/** The vocabulary as the GGUF file that the model came from has it, else made from the tokenizer. */
async function ggufVocabulary({ path, tokenizer }: ExportOptions, size: number): Promise<Record<string, GgufField>> {
  if (!path.endsWith('.gguf')) return tokenizer ? ggufFieldsOfTokenizer(tokenizer, size) : {};
  const source = await openGguf(path);
  try {
    return Object.fromEntries(Object.entries(source.fields).filter(([key]) => key.startsWith('tokenizer.')));
  } finally {
    await source.close();
  }
}

async function fromCheckpoint(options: ExportOptions, dtype: string): Promise<string[]> {
  const { path, tokenizer, format, out } = options;
  const { source, config } = await openCheckpoint(path);
  try {
    if (!config) throw new VitroError(`${path}: there is no config.json beside the weights`);
    if (format === 'gguf') {
      const fields = await ggufVocabulary(options, Number(config.vocab_size));
      await exportGguf(out, { tensors: source, config, tokenizer: fields, dtype: dtype.toUpperCase() as GgufTensorType });
      return [out];
    }
    await writeLlama2c(out, { tensors: source, config });
    if (!tokenizer) return [out];
    const vocabulary = join(dirname(out), 'tokenizer.bin');
    await writeFiles([{ path: vocabulary, produce: (file) => file.write(llama2cVocabulary(tokenizer)) }]);
    return [out, vocabulary];
  } finally {
    await source.close();
  }
}

/** The ONNX model of logits f32 [B, T, V] of token ids i32 [B, T], both sizes free; the weights are inside. */
export function onnxLogits({ model, params }: Pick<LoadedModel, 'model' | 'params'>): Uint8Array {
  const bytes = treeLeaves<NDArray>(params as unknown as Tree<NDArray>).reduce((sum, p) => sum + p.size * 4, 0);
  if (bytes > onnxLimit)
    throw new VitroError(
      `ONNX: the weights take ${(bytes / 1e9).toFixed(1)} GB, but such a file holds less than 2 GB; export as safetensors`,
    );
  const logits = (input_ids: Tensor): { logits: Tensor } => {
    const weights = mapTree(params as unknown as Tree<NDArray>, (p) => constant(p)) as never;
    const positions = iota([dimOf(input_ids, 0), dimOf(input_ids, 1)], 1);
    return { logits: modelLogits(model, weights, model.hidden(weights, input_ids, { positions })) };
  };
  const compiled = compile(logits, { name: 'logits', args: [spec('i32', ['B', 'T'])] });
  try {
    return compiled.toOnnx(new NDArray('i32', [1, 1], new Int32Array(1)));
  } finally {
    compiled.dispose();
  }
}

async function toOnnx({ path, tokenizer, out }: ExportOptions): Promise<string[]> {
  const model = onnxLogits(await loadModel(path));
  await writeFiles([{ path: out, produce: (file) => file.write(model) }]);
  if (tokenizer) await saveTokenizer(dirname(out), tokenizer);
  return [out];
}

/**
 * Writes a model in another format, with its tokenizer where the format has a place for it. Files appear whole or not at all.
 *
 * @returns what was written
 * @throws VitroError where the format does not hold the element type, the architecture or the tokenizer
 */
export async function exportModel(options: ExportOptions): Promise<string[]> {
  const allowed: readonly string[] = exportFormats[options.format];
  const dtype = options.dtype ?? (allowed[0] as string);
  if (!allowed.includes(dtype)) throw new VitroError(`${options.format} holds ${allowed.join(', ')}, not ${dtype}`);
  await mkdir(options.format === 'safetensors' ? options.out : dirname(options.out), { recursive: true });
  if (options.format === 'safetensors') return toSafetensors(options, dtype as FloatDType);
  return options.format === 'onnx' ? toOnnx(options) : fromCheckpoint(options, dtype);
}
