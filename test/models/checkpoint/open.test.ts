import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  exportGguf,
  fromGgufName,
  openCheckpoint,
  permuteForGguf,
  toGgufName,
  unpermuteFromGguf,
  writeGguf,
  writeLlama2c,
  writeSafetensors,
  writeSafetensorsFolder,
} from '../../../src/models/checkpoint/index.js';
import { llama3Divisors, llama3ScalingOf } from '../../../src/models/checkpoint/ropeScaling.js';
import { array } from '../../../src/tensor/index.js';
import { temporaryFolder } from './temporaryFolder.js';
import { randomWeights, tinyConfig } from './tinyLlama.js';

const folder = temporaryFolder();
const config = { ...tinyConfig, rope_theta: 10000 };
const weights = randomWeights(config);

describe('openCheckpoint', () => {
  it('opens every format of one model to the same tensors', async () => {
    const single = join(folder, 'single');
    const sharded = join(folder, 'sharded');
    for (const path of [single, sharded]) {
      mkdirSync(path);
      writeFileSync(join(path, 'config.json'), JSON.stringify(config));
    }
    await writeSafetensorsFolder(single, weights);
    await writeSafetensorsFolder(sharded, weights, { max_shard_bytes: 50_000 });
    await exportGguf(join(folder, 'model.gguf'), { tensors: weights, config, dtype: 'F32' });
    await writeLlama2c(join(folder, 'model.bin'), { tensors: weights, config });
    const paths = [
      single,
      sharded,
      join(single, 'model.safetensors'),
      join(sharded, 'model.safetensors.index.json'),
      join(folder, 'model.gguf'),
      join(folder, 'model.bin'),
    ];
    const kinds: string[] = [];
    for (const path of paths) {
      const { kind, source, config: seen } = await openCheckpoint(path);
      kinds.push(kind);
      expect(seen).toMatchObject({ model_type: 'llama', hidden_size: 64, num_hidden_layers: 2, num_key_value_heads: 2, rope_theta: 10000 });
      expect([...source.names].sort()).toEqual([...weights.keys()].sort());
      for (const [name, tensor] of weights) {
        const read = await source.read(name);
        expect(read.shape).toEqual(tensor.shape);
        expect(Buffer.compare(Buffer.from(read.data.buffer), Buffer.from(tensor.data.buffer)), `${path} ${name}`).toBe(0);
      }
      await source.close();
    }
    expect(kinds).toEqual(['safetensors', 'safetensors', 'safetensors', 'safetensors', 'gguf', 'llama2c']);
  });

  it('says what is missing or unknown', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    await expect(openCheckpoint(empty)).rejects.toThrow('neither model.safetensors nor');
    await expect(openCheckpoint(join(folder, 'nowhere'))).rejects.toThrow('no such file');
    const text = join(folder, 'notes.txt');
    writeFileSync(text, 'x');
    await expect(openCheckpoint(text)).rejects.toThrow('no known ending');
    await writeSafetensors(join(empty, 'model.safetensors'), weights);
    writeFileSync(join(empty, 'config.json'), '{"hidden_size": 1, "hidden_size": 2}');
    await expect(openCheckpoint(empty)).rejects.toThrow('twice');
  });

  it('refuses a GGUF model that it cannot map', async () => {
    const path = join(folder, 'foreign.gguf');
    const write = (metadata: Parameters<typeof writeGguf>[1]['metadata'], tensors: Parameters<typeof writeGguf>[1]['tensors']) =>
      writeGguf(path, { metadata, tensors });
    await write({ 'general.architecture': { type: 'string', value: 'bert' } }, []);
    await expect(openCheckpoint(path)).rejects.toThrow('the architecture "bert" has no mapping');
    await expect(exportGguf(path, { tensors: new Map([['transformer.wte.weight', array([[1]])]]), config })).rejects.toThrow(
      'has no name in GGUF',
    );
    await expect(exportGguf(path, { tensors: [], config: { ...config, model_type: 'gpt2' } })).rejects.toThrow(
      'model_type "gpt2" has no mapping',
    );
    await expect(exportGguf(path, { tensors: [], config: { ...config, rope_scaling: { type: 'longrope' } } })).rejects.toThrow(
      '"longrope"',
    );
  });
});

describe('names and rows of GGUF', () => {
  it.each([
    ['llama', 'model.layers.12.self_attn.q_proj.weight', 'blk.12.attn_q.weight'],
    ['llama', 'model.embed_tokens.weight', 'token_embd.weight'],
    ['llama', 'lm_head.weight', 'output.weight'],
    ['llama', 'model.layers.0.post_attention_layernorm.weight', 'blk.0.ffn_norm.weight'],
    ['qwen2', 'model.layers.0.self_attn.k_proj.bias', 'blk.0.attn_k.bias'],
    ['qwen3', 'model.layers.0.self_attn.k_norm.weight', 'blk.0.attn_k_norm.weight'],
    ['gemma2', 'model.layers.0.post_attention_layernorm.weight', 'blk.0.post_attention_norm.weight'],
    ['gemma2', 'model.layers.0.pre_feedforward_layernorm.weight', 'blk.0.ffn_norm.weight'],
    ['phi3', 'model.layers.3.mlp.gate_up_proj.weight', 'blk.3.ffn_up.weight'],
  ] as const)('%s: %s is %s', (architecture, hf, gguf) => {
    expect(toGgufName(architecture, hf)).toBe(gguf);
    expect(fromGgufName(architecture, gguf)).toBe(hf);
  });

  it('orders rows of a head as pairs, and back', () => {
    const weight = array(Array.from({ length: 8 }, (_, i) => [i, 10 * i]));
    const stored = permuteForGguf(weight, 2);
    expect(stored.toNested()).toEqual([0, 2, 1, 3, 4, 6, 5, 7].map((i) => [i, 10 * i]));
    expect(unpermuteFromGguf(stored, 2).toNested()).toEqual(weight.toNested());
    expect(unpermuteFromGguf(permuteForGguf(array([1, 2, 3, 4, 5, 6]), 1), 1).toNumbers()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(() => permuteForGguf(weight, 3)).toThrow('8 rows do not split into 3 heads');
  });

  it('finds the scaling that divisors came from', () => {
    const scaling = { factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    expect(llama3ScalingOf(llama3Divisors(64, 500000, scaling), 500000)).toEqual(scaling);
    expect(llama3ScalingOf(Float32Array.of(1, 3, 2, 8), 500000)).toBeUndefined();
  });
});
