import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decoderModel } from '../../../src/models/causalModel.js';
import { loadModel, loadParams, misfits, readConfig, saveModel } from '../../../src/models/families/index.js';
import { NDArray, treeEntries } from '../../../src/tensor/index.js';
import { cachedLogits, largestDifference, logitsOf, memorySource } from './support.js';

const shared = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../../../shared/data', import.meta.url));
const models = join(shared, 'models');
const has = (name: string): boolean => {
  const found = existsSync(join(models, name));
  if (!found) console.warn(`skipped: ${join(models, name)} is absent; set VITRO_SHARED to the folder of shared data`);
  return found;
};
const show = (name: string, difference: number): void => {
  if (process.env.VITRO_SHOW) console.log(`${name} | ${difference.toExponential(1)}`);
};

const argmax = (row: readonly number[]): number => row.indexOf(Math.max(...row));

describe.skipIf(!has('stories260K'))('stories260K', () => {
  const { ids, last, sums } = JSON.parse(readFileSync(new URL('../../../fixtures/transformers/stories.json', import.meta.url), 'utf8')) as {
    ids: number[];
    last: number[];
    sums: number[];
  };

  it('gives the logits of a plain program over its own file, and continues greedily as it does', async () => {
    const { model, params, family } = await loadModel(join(models, 'stories260K', 'stories260K.bin'));
    expect(family.model_type).toBe('llama');
    const [logits = []] = await logitsOf(model, params, [ids]);
    const difference = largestDifference(logits.at(-1), last);
    show('stories260K', difference);
    expect(difference).toBeLessThan(1e-3);
    for (const [t, row] of logits.entries()) {
      const sum = row.reduce((a, x) => a + Math.abs(x), 0);
      expect(Math.abs(sum - (sums[t] as number))).toBeLessThan(0.01);
      if (t + 1 < ids.length) expect(argmax(row)).toBe(ids[t + 1]);
    }
    const [cached = []] = await cachedLogits(model, params, [ids.slice(0, 20)], { prefill: 6, capacity: 20 });
    expect(largestDifference(cached, logits.slice(0, 20))).toBeLessThan(1e-3);
  });

  it('survives being saved and loaded', async () => {
    const { config, params } = await loadModel(join(models, 'stories260K', 'checkpoint_v1.bin'));
    const folder = await mkdtemp(join(tmpdir(), 'vitro-stories-'));
    expect(await saveModel(folder, { config, params })).toBe('llama');
    const again = await loadModel(folder);
    const bytes = (tree: unknown): string[] =>
      treeEntries<NDArray>(tree as never).map(([path, x]) => `${path} ${Buffer.from((x.data as Float32Array).buffer).toString('base64')}`);
    expect(bytes(again.params)).toEqual(bytes(params));
    await rm(folder, { recursive: true });
  });
});

describe.skipIf(!has('nano-sort-gpt'))('nano-sort-gpt', () => {
  interface Stored {
    readonly shape: number[];
    readonly data: string;
  }
  const readTensors = (file: string): Record<string, Stored> =>
    JSON.parse(readFileSync(join(models, 'nano-sort-gpt', file), 'utf8')) as Record<string, Stored>;
  const floats = ({ data }: Stored): Float32Array => {
    const bytes = Buffer.from(data, 'base64');
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  };
  /** minGPT keeps linear weights [out, in]; GPT-2's checkpoints have them [in, out] */
  const turned = (x: NDArray): NDArray => {
    const [rows, cols] = x.shape as [number, number];
    return new NDArray(
      'f32',
      [cols, rows],
      Float32Array.from({ length: x.size }, (_, i) => x.data[(i % rows) * cols + Math.floor(i / rows)] as number),
    );
  };

  const load = async () => {
    const { config: _, ...stored } = readTensors('gpt-nano-sort-model.json');
    const tensors = Object.entries(stored).map(([name, tensor]): [string, NDArray] => {
      const x = new NDArray('f32', tensor.shape, floats(tensor));
      return [name, /\.(c_attn|c_proj|c_fc)\.weight$/.test(name) ? turned(x) : x];
    });
    const { family, config } = readConfig({
      model_type: 'gpt2',
      vocab_size: 3,
      n_embd: 48,
      n_head: 3,
      n_layer: 3,
      n_positions: 11,
      tie_word_embeddings: false,
    });
    return { model: decoderModel(config), params: await loadParams(memorySource(Object.fromEntries(tensors)), family, config) };
  };

  it('gives the logits that PyTorch recorded', async () => {
    const partials = readTensors('gpt-nano-sort-t0-partials.json');
    const nested = (name: string, shape: number[]): unknown => new NDArray('f32', shape, floats(partials[name] as Stored)).toNested();
    const { model, params } = await load();
    const ids = nested('idx', [3, 11]) as number[][];
    const difference = largestDifference(await logitsOf(model, params, ids), nested('lm_head', [3, 11, 3]));
    show('nano-sort-gpt', difference);
    expect(difference).toBeLessThan(1e-3);
  });

  it('sorts', async () => {
    const { model, params } = await load();
    const inputs = Array.from({ length: 64 }, (_, i) =>
      Array.from({ length: 6 }, (_, j) => Math.floor((i * 2654435761 + 12345) / 3 ** (j + 3)) % 3),
    );
    const rows = inputs.map((input) => [...input]);
    for (let n = 6; n < 12; n++) {
      const padded = rows.map((row) => [...row, ...Array.from({ length: 11 - n }, () => 0)]);
      for (const [b, logits] of (await logitsOf(model, params, padded)).entries()) rows[b]?.push(argmax(logits[n - 1] as number[]));
    }
    expect(rows.map((row) => row.slice(6))).toEqual(inputs.map((input) => [...input].sort()));
    expect(new Set(inputs.map(String)).size).toBeGreaterThan(50);
  });
});

describe.skipIf(!has('ple-3.5m'))('ple-3.5m', () => {
  it('gives the logits that PyTorch recorded', async () => {
    const lines = readFileSync(join(models, 'ple-3.5m', 'golden.txt'), 'utf8')
      .trim()
      .split('\n');
    const ids = (lines[1] as string).split(' ').map(Number);
    const want = lines.slice(2).map(Number);
    expect([ids.length, want.length]).toEqual([8, 4096]);
    const folder = await mkdtemp(join(tmpdir(), 'vitro-ple-'));
    await writeFile(join(folder, 'model.safetensors'), gunzipSync(readFileSync(join(models, 'ple-3.5m', 'ple-3.5m-fp32.safetensors.gz'))));
    const config = {
      model_type: 'tiny_ple',
      vocab_size: 4096,
      hidden_size: 128,
      num_hidden_layers: 6,
      num_attention_heads: 4,
      intermediate_size: 415,
      max_position_embeddings: 512,
      rope_theta: 10000,
      rms_norm_eps: 1e-6,
      hidden_size_per_layer_input: 64,
    };
    await writeFile(join(folder, 'config.json'), JSON.stringify(config));
    const loaded = await loadModel(folder);
    await rm(folder, { recursive: true });
    expect(misfits(loaded.family, loaded.config)).toEqual([]);
    const [logits = []] = await logitsOf(loaded.model, loaded.params, [ids]);
    const difference = largestDifference(logits.at(-1), want);
    show('ple-3.5m', difference);
    expect(difference).toBeLessThan(1e-3);
    const [cached = []] = await cachedLogits(loaded.model, loaded.params, [ids], { prefill: 3, capacity: 8 });
    expect(largestDifference(cached.at(-1), want)).toBeLessThan(1e-3);
  });
});
