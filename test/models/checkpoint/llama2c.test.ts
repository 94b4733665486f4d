import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openLlama2c, writeLlama2c } from '../../../src/models/checkpoint/llama2c.js';
import type { TensorSource } from '../../../src/models/checkpoint/tensorSource.js';
import { array, NDArray } from '../../../src/tensor/index.js';
import { argmax, type LlamaConfig, scalarLlama } from './scalarLlama.js';
import { temporaryFolder } from './temporaryFolder.js';

const folder = temporaryFolder();
const shared = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../../../shared/data', import.meta.url));
const stories = join(shared, 'models/stories260K');

const [D, F, L, H, KV, V, T] = [16, 24, 2, 4, 2, 13, 8] as const;
const kv = (D / H) * KV;

/** Raw weights as llama2.c trains them (interleaved rotary rows), by Hugging Face's names. */
function rawWeights(): Map<string, NDArray> {
  let x = 99;
  const random = (...shape: number[]): NDArray => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
      x = (Math.imul(1664525, x) + 1013904223) | 0;
      return x / 2 ** 31;
    });
    return new NDArray('f32', shape, data);
  };
  const out = new Map<string, NDArray>([
    ['model.embed_tokens.weight', random(V, D)],
    ['model.norm.weight', random(D)],
    ['lm_head.weight', random(V, D)],
  ]);
  for (let n = 0; n < L; n++) {
    const put = (name: string, ...shape: number[]) => out.set(`model.layers.${n}.${name}.weight`, random(...shape));
    put('input_layernorm', D);
    put('post_attention_layernorm', D);
    put('self_attn.q_proj', D, D);
    put('self_attn.k_proj', kv, D);
    put('self_attn.v_proj', kv, D);
    put('self_attn.o_proj', D, D);
    put('mlp.gate_proj', F, D);
    put('mlp.down_proj', D, F);
    put('mlp.up_proj', F, D);
  }
  return out;
}

/** The bytes of a file, put together after llama2.c's export.py. */
function fileBytes(raw: ReadonlyMap<string, NDArray>, version: 0 | 1, sharedHead: boolean): Buffer {
  const get = (name: string): Buffer => {
    const data = raw.get(name)?.data ?? new Float32Array(0);
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  };
  const layers = (name: string): Buffer[] => Array.from({ length: L }, (_, n) => get(`model.layers.${n}.${name}.weight`));
  const attention = ['q', 'k', 'v', 'o'].flatMap((p) => layers(`self_attn.${p}_proj`));
  const feedForward = ['gate', 'down', 'up'].flatMap((p) => layers(`mlp.${p}_proj`));
  const head = sharedHead ? [] : [get('lm_head.weight')];
  if (version === 1) {
    const header = Buffer.alloc(256);
    [0x616b3432, 1, D, F, L, H, KV, V, T].forEach((v, i) => {
      header.writeInt32LE(v, 4 * i);
    });
    header[36] = sharedHead ? 1 : 0;
    return Buffer.concat([
      header,
      ...layers('input_layernorm'),
      ...layers('post_attention_layernorm'),
      get('model.norm.weight'),
      get('model.embed_tokens.weight'),
      ...attention,
      ...feedForward,
      ...head,
    ]);
  }
  const header = Buffer.alloc(28);
  [D, F, L, H, KV, sharedHead ? V : -V, T].forEach((v, i) => {
    header.writeInt32LE(v, 4 * i);
  });
  const tables = Buffer.alloc(2 * T * (D / H / 2) * 4, 0xaa);
  return Buffer.concat([
    header,
    get('model.embed_tokens.weight'),
    ...layers('input_layernorm'),
    ...attention,
    ...layers('post_attention_layernorm'),
    ...feedForward,
    get('model.norm.weight'),
    tables,
    ...head,
  ]);
}

async function all(source: TensorSource, transpose = false): Promise<Map<string, NDArray>> {
  const out = new Map<string, NDArray>();
  for (const name of source.names) out.set(name, await source.read(name, { transpose: transpose && source.info(name).shape.length === 2 }));
  return out;
}

describe('llama2.c checkpoints', () => {
  it.each([
    [0, true],
    [0, false],
    [1, true],
    [1, false],
  ] as const)(
    'version %i (shared head: %s): rotate-half on what is read equals interleaved rotation on what is stored',
    async (version, sharedHead) => {
      const raw = rawWeights();
      if (sharedHead) raw.delete('lm_head.weight');
      const path = join(folder, `tiny-${version}-${sharedHead}.bin`);
      writeFileSync(path, fileBytes(raw, version, sharedHead));
      const { source, config } = await openLlama2c(path);
      expect(config).toMatchObject({ model_type: 'llama', hidden_size: D, tie_word_embeddings: sharedHead, num_key_value_heads: KV });
      const read = await all(source);
      expect([...read.keys()].sort()).toEqual([...raw.keys()].sort());
      for (const [name, tensor] of read) {
        expect(tensor.shape, name).toEqual(raw.get(name)?.shape);
        if (!/[qk]_proj/.test(name)) expect(tensor.toNumbers(), name).toEqual(raw.get(name)?.toNumbers());
      }
      const ids = [1, 5, 12, 0, 7];
      const ours = scalarLlama(config as unknown as LlamaConfig, read, ids);
      const theirs = scalarLlama(config as unknown as LlamaConfig, raw, ids, { interleaved: true });
      ours.forEach((row, t) => {
        row.forEach((v, i) => {
          expect(v).toBeCloseTo(theirs[t]?.[i] as number, 10);
        });
      });
      // reading transposed permutes columns instead
      for (const [name, turned] of await all(source, true)) {
        const plain = read.get(name) as NDArray;
        if (plain.shape.length !== 2) continue;
        const [rows = 0, cols = 0] = plain.shape;
        expect(turned.shape).toEqual([cols, rows]);
        for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) expect(turned.data[c * rows + r]).toBe(plain.data[r * cols + c]);
      }
      await source.close();
    },
  );

  it.each([true, false])('writes the legacy file it read (shared head: %s)', async (sharedHead) => {
    const raw = rawWeights();
    if (sharedHead) raw.delete('lm_head.weight');
    const original = fileBytes(raw, 0, sharedHead);
    const path = join(folder, 'original.bin');
    writeFileSync(path, original);
    const { source, config } = await openLlama2c(path);
    const tableBytes = 2 * T * (D / H / 2) * 4;
    const tableStart = original.length - tableBytes - (sharedHead ? 0 : V * D * 4);
    const turned = [...(await all(source, true))];
    const isMatrix = (name: string): boolean => source.info(name).shape.length === 2;
    for (const tensors of [source, turned]) {
      const again = join(folder, 'again.bin');
      await writeLlama2c(again, { tensors, config, transpose: tensors === turned ? isMatrix : undefined });
      const bytes = readFileSync(again);
      expect(bytes.length).toBe(original.length);
      expect(bytes.subarray(0, tableStart).equals(original.subarray(0, tableStart))).toBe(true);
      expect(bytes.subarray(tableStart + tableBytes).equals(original.subarray(tableStart + tableBytes))).toBe(true);
      const table = new Float32Array(bytes.buffer.slice(bytes.byteOffset + tableStart, bytes.byteOffset + tableStart + tableBytes));
      const half = D / H / 2;
      for (let t = 0; t < T; t++)
        for (let i = 0; i < half; i++) {
          expect(table[t * half + i]).toBeCloseTo(Math.cos(t * 10000 ** (-i / half)), 6);
          expect(table[T * half + t * half + i]).toBeCloseTo(Math.sin(t * 10000 ** (-i / half)), 6);
        }
    }
    await source.close();
  });

  const bin = (bytes: Uint8Array): string => {
    const path = join(folder, 'bad.bin');
    writeFileSync(path, bytes);
    return path;
  };
  const header = (...values: number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer);

  it.each([
    [header(1, 2), 'too few'],
    [header(16, 24, 2, 4, 2, 13, 8), 'truncated or of another format'],
    [header(-1, 24, 2, 4, 2, 13, 8), 'dim is -1'],
    [header(16, 24, 2, 5, 2, 13, 8), 'does not split into 5 heads'],
    [header(16, 24, 2, 4, 3, 13, 8), 'cannot share 3 key-value heads'],
    [header(2 ** 26, 2 ** 26, 4096, 2, 2, 2 ** 26, 2 ** 26), 'truncated or of another format'],
    [header(16, 24, 2 ** 30, 4, 2, 13, 8), 'n_layers is'],
    [header(0x616b3432, 2, 16, 24, 2, 4, 2, 13, 8), 'version 2'],
    [header(0x616b3432, 1, 16, 24, 2, 4, 2, 13, 8), 'truncated'],
    [header(0x04034b50, 1, 16, 24, 2, 4, 2, 13, 8), 'convert it to safetensors'],
  ])('refuses %j', async (bytes, message) => {
    await expect(openLlama2c(bin(bytes))).rejects.toThrow(message);
  });

  it('refuses to write what llama2.c cannot run', async () => {
    const config = {
      model_type: 'llama',
      hidden_size: D,
      intermediate_size: F,
      num_hidden_layers: L,
      num_attention_heads: H,
      vocab_size: V,
      max_position_embeddings: T,
    };
    const write = (change: Record<string, unknown>, tensors: [string, NDArray][] = []) =>
      writeLlama2c(join(folder, 'w.bin'), { tensors, config: { ...config, ...change } });
    await expect(write({ rope_theta: 5e5 })).rejects.toThrow('rope_theta is fixed at 10000');
    await expect(write({ model_type: 'qwen2' })).rejects.toThrow('only llama');
    await expect(write({})).rejects.toThrow('no tensor "model.embed_tokens.weight"');
    await expect(write({}, [['model.embed_tokens.weight', array([1])]])).rejects.toThrow('the config asks for [13, 16]');
  });
});

describe.skipIf(!existsSync(stories))('stories260K (needs the shared test data)', () => {
  it('tells its story greedily, from both formats', async () => {
    const pieces = readFileSync(join(stories, 'tok512.bin'));
    const vocabulary: string[] = [];
    for (let at = 4; at < pieces.length; ) {
      const length = pieces.readInt32LE(at + 4);
      vocabulary.push(pieces.toString('utf8', at + 8, at + 8 + length));
      at += 8 + length;
    }
    const legacy = await openLlama2c(join(stories, 'stories260K.bin'));
    const v1 = await openLlama2c(join(stories, 'checkpoint_v1.bin'));
    const weights = await all(legacy.source);
    for (const [name, tensor] of await all(v1.source))
      expect(Buffer.from(tensor.data.buffer).equals(Buffer.from(weights.get(name)?.data.buffer ?? new ArrayBuffer(0))), name).toBe(true);
    expect({ ...v1.config }).toEqual(legacy.config);
    const ids = [1];
    for (let step = 0; step < 24; step++) ids.push(argmax(scalarLlama(legacy.config as unknown as LlamaConfig, weights, ids).at(-1) ?? []));
    const text = ids
      .slice(1)
      .map((id) => vocabulary[id])
      .join('');
    // the text that llama2.c's readme shows for this model at temperature 0
    expect(text.trim()).toMatch(/^Once upon a time, there was a little girl named Lily\./);
    await legacy.source.close();
    await v1.source.close();
  });
});
