import { readFileSync } from 'node:fs';
import { type CausalModel, decoderModel, modelLogits } from '../../../src/models/causalModel.js';
import type { FloatDType, ReadOptions, TensorSource } from '../../../src/models/checkpoint/tensorSource.js';
import type { DecoderConfig, KvCache } from '../../../src/models/decoder/index.js';
import { type ConfigJson, type Family, loadParams, readConfig } from '../../../src/models/families/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { array, type BackendName, compile, NDArray, type Tensor } from '../../../src/tensor/index.js';

export interface GoldenCase {
  readonly name: string;
  readonly config: ConfigJson;
  readonly gain: number;
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  readonly logits: readonly (readonly (readonly number[])[])[];
}

export interface GoldenFile {
  readonly ids: readonly (readonly number[])[];
  readonly cases: readonly GoldenCase[];
}

export const goldenFamilies = [
  ...['llama', 'mistral', 'smollm3', 'qwen2', 'qwen3', 'qwen3_moe', 'gemma2', 'gemma3_text', 'phi3', 'gpt2', 'gpt_neox', 'olmo2'],
] as const;

export const golden = (family: string): GoldenFile =>
  JSON.parse(readFileSync(new URL(`../../../fixtures/transformers/${family}.json`, import.meta.url), 'utf8')) as GoldenFile;

export const goldenCase = (family: string, start: string): GoldenCase => {
  const found = golden(family).cases.find(({ name }) => name.startsWith(start));
  if (!found) throw new Error(`no golden case "${start}" of ${family}`);
  return found;
};

/** The values that fixtures/transformers/make.py states for a tensor's name and shape. */
export function filled(name: string, shape: readonly number[], gain: number): NDArray {
  let seed = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  const isTable = /embed_(?!out)|wte|wpe/.test(name);
  const [start, scale] = name.endsWith('bias') ? [0, 1] : shape.length === 1 ? [gain, 1] : [0, isTable ? 2 : 1];
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
    let h = (seed + Math.imul(i, 0x9e3779b9)) | 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
    return start + scale * ((h >>> 16) / 65536 - 0.5);
  });
  return new NDArray('f32', shape, data);
}

/** Tensors in memory as an open checkpoint. */
export function memorySource(tensors: Readonly<Record<string, NDArray>>): TensorSource {
  const of = (name: string): NDArray => {
    const found = tensors[name];
    if (!found) throw new Error(`no tensor ${name}`);
    return found;
  };
  return {
    names: Object.keys(tensors),
    metadata: {},
    info: (name) => ({ dtype: 'F32', shape: of(name).shape, byteLength: of(name).size * 4 }),
    read: async (name, { transpose = false, dtype = 'f32' as FloatDType }: ReadOptions = {}) => {
      const stored = of(name);
      if (dtype !== 'f32') throw new Error('the memory source holds f32');
      if (!transpose) return stored.clone();
      const [rows, cols] = stored.shape as [number, number];
      const data = Float32Array.from({ length: rows * cols }, (_, i) => stored.data[(i % rows) * cols + Math.floor(i / rows)] as number);
      return new NDArray('f32', [cols, rows], data);
    },
    close: async () => undefined,
  };
}

export const goldenTensors = ({ tensors, gain }: GoldenCase): Record<string, NDArray> =>
  Object.fromEntries(Object.entries(tensors).map(([name, shape]) => [name, filled(name, shape, gain)]));

export interface Loaded {
  readonly family: Family;
  readonly config: DecoderConfig;
  readonly params: ParamTree<NDArray>;
  readonly model: CausalModel;
}

export async function loadGolden(spec: GoldenCase): Promise<Loaded> {
  const { family, config } = readConfig(spec.config);
  const params = await loadParams(memorySource(goldenTensors(spec)), family, config);
  return { family, config, params, model: decoderModel(config) };
}

const i32 = (rows: readonly (readonly number[])[]): NDArray => array(rows, { dtype: 'i32' });
type Rows = readonly (readonly number[])[];

/** Logits [B][T][V] of whole sequences. */
export async function logitsOf(
  model: CausalModel,
  params: ParamTree<NDArray>,
  ids: Rows,
  backend: BackendName = 'ort',
): Promise<number[][][]> {
  const run = compile((p: ParamTree<Tensor>, x: Tensor) => modelLogits(model, p, model.hidden(p, x)), { backend });
  try {
    return (await run.run(params, i32(ids))).toNested() as number[][][];
  } finally {
    run.dispose();
  }
}

/** The same through a cache: the first `prefill` tokens at once, then one by one. */
export async function cachedLogits(
  model: CausalModel,
  params: ParamTree<NDArray>,
  ids: Rows,
  { prefill, capacity }: { readonly prefill: number; readonly capacity: number },
): Promise<number[][][]> {
  const step = compile(
    (p: ParamTree<Tensor>, x: Tensor, cache: KvCache<Tensor>, lengths: Tensor) => {
      const out = model.step(p, x, cache, lengths);
      return { logits: modelLogits(model, p, out.hidden), cache: out.cache };
    },
    { backend: 'ort' },
  );
  const all: number[][][] = ids.map(() => []);
  let cache = model.emptyCache(ids.length, capacity);
  const total = (ids[0] as readonly number[]).length;
  try {
    for (let at = 0, n = prefill; at < total; at += n, n = 1) {
      const lengths = array(
        ids.map(() => at),
        { dtype: 'i32' },
      );
      const out = await step.run(params, i32(ids.map((row) => row.slice(at, at + n))), cache, lengths);
      for (const [b, rows] of (out.logits.toNested() as number[][][]).entries()) all[b]?.push(...rows);
      cache = out.cache as KvCache<NDArray>;
    }
    return all;
  } finally {
    step.dispose();
  }
}

/** Largest absolute difference of two nestings of numbers; throws where their forms differ. */
export function largestDifference(got: unknown, want: unknown): number {
  if (typeof got === 'number' && typeof want === 'number') return Math.abs(got - want);
  if (!Array.isArray(got) || !Array.isArray(want) || got.length !== want.length) throw new Error('the forms differ');
  return got.reduce((most: number, x: unknown, i) => Math.max(most, largestDifference(x, want[i])), 0);
}
