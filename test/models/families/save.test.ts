import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decoderModel, initModel } from '../../../src/models/causalModel.js';
import { exportGguf } from '../../../src/models/checkpoint/ggufExport.js';
import { openSafetensors } from '../../../src/models/checkpoint/safetensors.js';
import { type DecoderConfig, initDecoder } from '../../../src/models/decoder/index.js';
import { asHuggingFace, type ConfigJson, fittingFamily, loadModel, misfits, saveModel } from '../../../src/models/families/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { type NDArray, treeEntries } from '../../../src/tensor/index.js';
import { type GoldenCase, golden, goldenCase, goldenFamilies, goldenTensors, largestDifference, loadGolden, logitsOf } from './support.js';

interface Saved {
  readonly cases: Readonly<Record<string, { readonly config: ConfigJson; readonly ids?: number[][]; readonly logits?: number[][][] }>>;
}
const loadedInPython = JSON.parse(readFileSync(new URL('../../../fixtures/transformers/saved.json', import.meta.url), 'utf8')) as Saved;

const values = (params: ParamTree<NDArray>): [string, number[]][] =>
  treeEntries<NDArray>(params as never).map(([path, array]) => [path, array.toNumbers()]);
const readJson = async (path: string): Promise<ConfigJson> => JSON.parse(await readFile(path, 'utf8')) as ConfigJson;

const own: DecoderConfig = {
  vocab_size: 40,
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 48,
  max_position_embeddings: 64,
};

/** Vitro's own start, larger so that every part counts. */
function strongParams(): ParamTree<NDArray> {
  const params = initDecoder(own, 7) as unknown as ParamTree<NDArray>;
  for (const [path, p] of treeEntries<NDArray>(params as never))
    if (p.shape.length > 1) {
      const data = p.data as Float32Array;
      for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (path.startsWith('embed') ? 40 : 3);
    }
  return params;
}

let folder = '';
const keep = process.env.VITRO_SAVE_FOLDER;
beforeAll(async () => {
  folder = keep ?? (await mkdtemp(join(tmpdir(), 'vitro-families-')));
  await mkdir(folder, { recursive: true });
});
afterAll(async () => {
  if (!keep) await rm(folder, { recursive: true });
});

describe.each(goldenFamilies)('%s, saved and loaded', (name) => {
  it.each(golden(name).cases.map((spec, i) => [spec.name, `${name}-${i}`, spec] as const))('%s', async (_, key, spec) => {
    const { config, params, model } = await loadGolden(spec);
    const path = join(folder, key);
    expect(await saveModel(path, { config, params, family: name })).toBe(name);
    const again = await loadModel(path);
    expect(values(again.params)).toEqual(values(params));
    expect(again.unread).toEqual([]);
    expect(misfits(again.family, config)).toEqual([]);
    const { ids } = golden(name);
    if (key.endsWith('-0')) expect(await logitsOf(again.model, again.params, ids)).toEqual(await logitsOf(model, params, ids));
    // this config.json and these tensors gave the golden logits in Python
    expect(await readJson(join(path, 'config.json'))).toEqual(loadedInPython.cases[key]?.config);
    const file = await openSafetensors(join(path, 'model.safetensors'));
    if (!spec.name.startsWith('joint')) expect(Object.fromEntries(file.names.map((n) => [n, file.info(n).shape]))).toEqual(spec.tensors);
    await file.close();
  });
});

describe('a model of our own', () => {
  it('is saved as Llama, with which Python gets the same logits', async () => {
    const path = join(folder, 'own');
    const params = strongParams();
    expect(await saveModel(path, { config: own, params, tokens: { bos_token_id: 1, eos_token_id: [2, 3] } })).toBe('llama');
    const recorded = loadedInPython.cases.own;
    expect(await readJson(join(path, 'config.json'))).toEqual(recorded?.config);
    expect(await readJson(join(path, 'generation_config.json'))).toEqual({ bos_token_id: 1, eos_token_id: [2, 3], pad_token_id: null });
    const again = await loadModel(path);
    const logits = await logitsOf(again.model, again.params, recorded?.ids ?? []);
    expect(largestDifference(logits, recorded?.logits)).toBeLessThan(1e-4);
  });

  it.each<[string, Partial<DecoderConfig>]>([
    ['llama', { position_settings: { rope_type: 'linear', factor: 2 } }],
    ['llama', { attention_bias: true, attention_out_bias: true, tie_word_embeddings: false }],
    ['llama', { sliding_window: 100, layer_types: ['sliding_attention', 'full_attention'] }],
    ['mistral', { sliding_window: 8, layer_types: ['sliding_attention', 'sliding_attention'] }],
    ['smollm3', { position_layers: [true, false] }],
    ['qwen2', { attention_bias: true }],
    ['qwen3', { qk_norm: 'head' }],
    ['qwen3_moe', { qk_norm: 'head', num_experts: 3 }],
    ['phi3', { position_settings: { partial_rotary_factor: 0.5 } }],
    ['olmo2', { qk_norm: 'all', norm_placement: 'post' }],
    [
      'gpt2',
      {
        position_method: 'learned',
        norm_type: 'layer',
        mlp_gated: false,
        mlp_bias: true,
        attention_bias: true,
        attention_out_bias: true,
        num_key_value_heads: 4,
      },
    ],
    ['tiny_ple', { hidden_size_per_layer_input: 4 }],
    ['vitro', { position_method: 'alibi' }],
    ['vitro', { norm_type: 'layer' }],
    ['vitro', { num_experts: 3, router_settings: { num_experts_per_tok: 1 } }],
    ['vitro', { embedding_scale: 2 }],
  ])('chooses %s for %j and reads it back', async (family, variant) => {
    const config = { ...own, ...variant };
    expect(fittingFamily(config).model_type).toBe(family);
    const params = initModel(decoderModel(config), 3);
    const path = join(keep ? tmpdir() : folder, `variant-${JSON.stringify(variant).replaceAll(/\W/g, '').slice(0, 60)}`);
    await saveModel(path, { config, params });
    const again = await loadModel(path);
    expect(again.family.model_type).toBe(family);
    expect(values(again.params)).toEqual(values(params));
    const ids = [[3, 1, 4, 1, 5, 9]];
    expect(await logitsOf(again.model, again.params, ids)).toEqual(await logitsOf(decoderModel(config), params, ids));
    await rm(path, { recursive: true });
  });

  it.each(['llama', 'qwen2', 'qwen3', 'phi3'])('is exported as GGUF and loaded from it (%s)', async (family) => {
    const spec = golden(family).cases[0] as GoldenCase;
    const { config, params } = await loadGolden(spec);
    const { json, tensors, transpose } = asHuggingFace({ config, params, family });
    const path = join(keep ? tmpdir() : folder, `${family}.gguf`);
    await exportGguf(path, { config: json, tensors, transpose, dtype: 'F32' });
    const again = await loadModel(path);
    expect(again.family.model_type).toBe(family);
    expect(largestDifference(await logitsOf(again.model, again.params, golden(family).ids), spec.logits)).toBeLessThan(1e-4);
    await rm(path);
  });

  it('is saved in half precision, in shards, with a tokenizer', async () => {
    const path = join(keep ? tmpdir() : folder, 'half');
    const params = strongParams();
    await saveModel(path, {
      config: own,
      params,
      dtype: 'bf16',
      max_shard_bytes: 8000,
      tokenizerFiles: { 'tokenizer.json': '{"version":"1.0"}' },
    });
    const files = await readdir(path);
    expect(files).toContain('model.safetensors.index.json');
    expect(files.filter((f) => f.endsWith('.safetensors')).length).toBeGreaterThan(2);
    expect(await readFile(join(path, 'tokenizer.json'), 'utf8')).toBe('{"version":"1.0"}');
    expect(await readJson(join(path, 'config.json'))).toMatchObject({ torch_dtype: 'bfloat16' });
    const again = await loadModel(path);
    const [a, b] = [values(again.params), values(params)];
    for (const [i, [, list]] of a.entries())
      for (const [k, x] of list.entries()) expect(Math.abs(x - (b[i]?.[1][k] as number))).toBeLessThanOrEqual(Math.abs(x) / 128);
    await rm(path, { recursive: true });
  });

  it('is refused where the family cannot say it, or parameters do not fit', async () => {
    const params = strongParams();
    await expect(saveModel(join(folder, 'x'), { config: { ...own, qk_norm: 'head' }, params, family: 'llama' })).rejects.toThrow(
      /"llama" cannot express this model, it differs in qk_norm/,
    );
    await expect(saveModel(join(folder, 'x'), { config: { ...own, vocab_size: 41 }, params })).rejects.toThrow(
      /"embed_tokens.weight" is \[40, 32\], the config asks for \[41, 32\]/,
    );
    await expect(saveModel(join(folder, 'x'), { config: { ...own, num_hidden_layers: 1 }, params })).rejects.toThrow(
      /no parameters layers\.1\./,
    );
    await expect(saveModel(join(folder, 'x'), { config: own, params, tokenizerFiles: { '../x': '' } })).rejects.toThrow(
      /no plain file name/,
    );
    expect(await readdir(folder)).not.toContain('x');
  });
});

describe('golden tensors', () => {
  it('differ from each other', () => {
    const all = Object.values(goldenTensors(goldenCase('llama', 'grouped'))).map((t) => t.toNumbers().slice(0, 8).join());
    expect(new Set(all).size).toBe(all.length);
  });
});
