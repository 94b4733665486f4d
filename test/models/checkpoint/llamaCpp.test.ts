import { join } from 'node:path';
import { getLlama, type Llama, LlamaLogLevel, type Token } from 'node-llama-cpp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportGguf } from '../../../src/models/checkpoint/ggufExport.js';
import type { GgufTensorType } from '../../../src/models/checkpoint/ggufTypes.js';
import { openCheckpoint } from '../../../src/models/checkpoint/open.js';
import { llama3Divisors } from '../../../src/models/checkpoint/ropeScaling.js';
import type { NDArray } from '../../../src/tensor/index.js';
import { argmax, scalarLlama } from './scalarLlama.js';
import { temporaryFolder } from './temporaryFolder.js';
import { familyWeights, randomWeights, spmVocabulary, tinyConfig } from './tinyLlama.js';

const folder = temporaryFolder();
const ids = [1, 263, 261, 267, 5, 270, 262, 260, 264];
let llama: Llama | undefined;

beforeAll(async () => {
  // a machine for which there is no ready-made llama.cpp cannot run this comparison
  llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error, maxThreads: 1 }).catch(() => undefined);
});
afterAll(async () => {
  await llama?.dispose();
});

const bytesOf = (tensor: NDArray | undefined): Uint8Array => new Uint8Array(tensor?.data.buffer ?? new ArrayBuffer(0));

/** llama.cpp's logits after every token of `ids`. */
async function logitsOfLlamaCpp(path: string): Promise<number[][]> {
  const model = await (llama as Llama).loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({ contextSize: 64, batchSize: 64, flashAttention: false });
  const sequence = context.getSequence();
  const results = await sequence.controlledEvaluate(
    ids.map((id) => [id as Token, { generateNext: { logits: true } }] as const).map(([id, o]) => [id, o]),
  );
  const rows = results.map((result) => {
    const row = new Array<number>(tinyConfig.vocab_size).fill(Number.NaN);
    for (const [token, logit] of result?.next.logits ?? []) row[token] = logit;
    return row;
  });
  await context.dispose();
  await model.dispose();
  return rows;
}

/** Largest difference of two sets of rows, relative to the spread of the first. */
function distance(a: readonly number[][], b: readonly number[][]): number {
  const first = a.flat();
  const second = b.flat();
  return Math.max(...first.map((v, i) => Math.abs(v - Number(second[i])))) / (Math.max(...first) - Math.min(...first));
}

async function weightsOf(path: string): Promise<{ weights: Map<string, NDArray>; config: typeof tinyConfig }> {
  const { source, config } = await openCheckpoint(path);
  const weights = new Map<string, NDArray>();
  for (const name of source.names) weights.set(name, await source.read(name));
  await source.close();
  return { weights, config: config as typeof tinyConfig };
}

describe('llama.cpp runs what exportGguf writes', () => {
  const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

  it.each([
    ['F32', {}, 1e-3],
    ['F16', {}, 1.5e-3],
    ['Q8_0', {}, 2e-2],
    ['Q4_0', {}, 2e-2],
    ['F32', { tie_word_embeddings: true }, 1e-3],
    ['F32', { rope_scaling: scaling, rope_theta: 500000 }, 1e-3],
  ] as const)('%s %j: logits as of a scalar forward pass', async (dtype, change, tolerance) => {
    const config = { ...tinyConfig, ...change };
    const path = join(folder, 'tiny.gguf');
    const stands = 'tie_word_embeddings' in change;
    // one case starts from matrices [in, out], as Vitro holds them
    const given = randomWeights(config, stands);
    const transpose = (name: string): boolean => stands && (given.get(name)?.shape.length ?? 0) === 2;
    await exportGguf(path, { tensors: given, config, tokenizer: spmVocabulary(), dtype: dtype satisfies GgufTensorType, transpose });

    const read = await weightsOf(path);
    expect(read.config).toMatchObject({
      ...change,
      hidden_size: 64,
      num_key_value_heads: 2,
      tie_word_embeddings: config.tie_word_embeddings,
    });
    const original = randomWeights(config);
    expect([...read.weights.keys()].sort()).toEqual([...original.keys()].sort());
    if (dtype === 'F32')
      for (const [name, tensor] of read.weights) expect(Buffer.compare(bytesOf(tensor), bytesOf(original.get(name))), name).toBe(0);

    const divisors = 'rope_scaling' in change ? llama3Divisors(16, 500000, scaling) : undefined;
    const expected = scalarLlama(config, read.weights, ids, { divisors });
    // what was read is the model that was given, up to the rounding of its weights
    expect(distance(scalarLlama(config, original, ids, { divisors }), expected)).toBeLessThan(dtype === 'Q4_0' ? 0.3 : 0.02);
    if (!llama) return console.warn('llama.cpp is not available for this platform; its side of the comparison is skipped');
    const theirs = await logitsOfLlamaCpp(path);
    expect(distance(expected, theirs)).toBeLessThan(tolerance);
    if (dtype === 'F32') expect(theirs.map(argmax)).toEqual(expected.map(argmax));
    // a wrong order of the rotary rows would not go unnoticed
    expect(distance(scalarLlama(config, read.weights, ids, { divisors, interleaved: true }), theirs)).toBeGreaterThan(5 * tolerance);
  });

  it('refuses a scale of scores that GGUF cannot hold', async () => {
    const config = { ...tinyConfig, model_type: 'gemma2', query_pre_attn_scalar: 7 };
    await expect(exportGguf(join(folder, 'scale.gguf'), { tensors: [], config })).rejects.toThrow('query_pre_attn_scalar 7');
  });

  it.each(['mistral', 'qwen2', 'qwen3', 'gemma2', 'phi3'])('loads %s, and Vitro reads the same weights back', async (model_type) => {
    const config = { ...tinyConfig, model_type, tie_word_embeddings: model_type === 'gemma2', sliding_window: 128 };
    const given = familyWeights(config);
    const path = join(folder, `${model_type}.gguf`);
    await exportGguf(path, { tensors: given, config, tokenizer: spmVocabulary(), dtype: 'F32' });
    const read = await weightsOf(path);
    expect(read.config.model_type).toBe(model_type === 'mistral' ? 'llama' : model_type);
    expect([...read.weights.keys()].sort()).toEqual([...given.keys()].sort());
    // Gemma's norms lose the bits that adding 1 pushes out
    for (const [name, tensor] of read.weights)
      expect(Math.max(...tensor.toNumbers().map((v, i) => Math.abs(v - Number(given.get(name)?.data[i])))), name).toBeLessThan(1e-6);
    if (!llama) return console.warn('llama.cpp is not available for this platform; skipped');
    expect((await logitsOfLlamaCpp(path)).flat().every(Number.isFinite)).toBe(true);
  });

  it('keeps the vocabulary', async () => {
    if (!llama) return console.warn('llama.cpp is not available for this platform; skipped');
    const path = join(folder, 'vocabulary.gguf');
    await exportGguf(path, { tensors: randomWeights(tinyConfig), config: tinyConfig, tokenizer: spmVocabulary() });
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
    expect(model.detokenize(model.tokenize('abc cab'))).toBe('abc cab');
    expect(model.tokens.bos).toBe(1);
    expect(model.tokens.eos).toBe(2);
    await model.dispose();
  });
});
