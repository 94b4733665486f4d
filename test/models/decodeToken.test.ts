import { describe, expect, it } from 'vitest';
import {
  type Decoder,
  type DecoderConfig,
  decoderHidden,
  decoderStep,
  decoderToken,
  emptyCache,
  initDecoder,
  type KvCache,
} from '../../src/models/decoder/index.js';
import { attentions } from '../../src/nn/attention/index.js';
import { array, compile, type NDArray, spec, type Tensor, treeEntries, zerosArray } from '../../src/tensor/index.js';

const base: DecoderConfig = {
  vocab_size: 13,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 12,
  max_position_embeddings: 16,
};

const variants: Readonly<Record<string, Partial<DecoderConfig>>> = {
  'no positions': { position_method: 'nope' },
  'as many key heads as query heads': { num_key_value_heads: 4 },
  'learned positions': { position_method: 'learned' },
  alibi: { position_method: 'alibi' },
  'partial rotation': { position_settings: { partial_rotary_factor: 0.5 } },
  'soft-capped scores': { attn_logit_softcapping: 2 },
  'sliding windows': { layer_types: ['sliding_attention', 'full_attention'], sliding_window: 3 },
  'head norms': { qk_norm: 'head', norm_placement: 'sandwich' },
  'embeddings of each layer': { hidden_size_per_layer_input: 4 },
  ...Object.fromEntries(Object.keys(attentions).map((attention_method) => [`attention ${attention_method}`, { attention_method }])),
  'keys made late, rotated': { attention_method: 'diff-qkv', attention_settings: { key_head_dim: 2, q_augment_ratio: 0.5 } },
};

const ids = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5, 3, 5, 8, 9, 7],
];
const i32 = (values: readonly number[] | readonly (readonly number[])[]): NDArray => array(values as number[], { dtype: 'i32' });

/** Larger weights than at the start, so that every part counts. */
function strongParams(config: DecoderConfig): Decoder<NDArray> {
  const params = initDecoder(config, 5);
  for (const [path, p] of treeEntries<NDArray>(params as never))
    if (p.shape.length > 1) {
      const data = p.data as Float32Array;
      for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (path.startsWith('embed') ? 40 : 3);
    }
  return params;
}

/** The cache with rows [B, H, 1, d] written at the places, and room for `capacity` tokens; what is not written is junk. */
function written(
  cache: KvCache<NDArray>,
  rows: KvCache<NDArray> | undefined,
  places: readonly number[],
  capacity: number,
): KvCache<NDArray> {
  const grow = (part: NDArray, row: NDArray | undefined): NDArray => {
    const [batch, heads, room, size] = part.shape as [number, number, number, number];
    const out = zerosArray([batch, heads, capacity, size]);
    const to = (out.data as Float32Array).fill(3);
    for (let bh = 0; bh < batch * heads; bh++) {
      for (let t = 0; t < room * size; t++) to[bh * capacity * size + t] = (part.data as Float32Array)[bh * room * size + t] as number;
      const place = places[Math.floor(bh / heads)] as number;
      for (let i = 0; row && i < size; i++) to[(bh * capacity + place) * size + i] = (row.data as Float32Array)[bh * size + i] as number;
    }
    return out;
  };
  return cache.map(({ k, v }, i) => ({ k: grow(k, rows?.[i]?.k), v: grow(v, rows?.[i]?.v) }));
}

describe.each(Object.entries(variants))('a token over a cache: %s', (_, variant) => {
  const config = { ...base, ...variant };
  const params = strongParams(config);

  it.each([
    ['that is only read', false],
    ['written in place where kernels can', true],
  ])('%s has the hidden states of the whole sequence, rows of unequal length, one compilation', async (_, inPlace) => {
    const whole = compile((p: Decoder<Tensor>, x: Tensor) => decoderHidden(config, p, x), { threads: 1 });
    const prefill = compile((p: Decoder<Tensor>, x: Tensor, c: KvCache<Tensor>, n: Tensor) => decoderStep(config, p, x, c, n).cache, {
      threads: 1,
    });
    const any = emptyCache(config, 1, 1).map((layer) =>
      Object.fromEntries(
        Object.entries(layer).map(([name, { shape }]) => [name, spec('f32', ['B', shape[1] as number, 'C', shape[3] as number])]),
      ),
    );
    const token = compile(
      (p: Decoder<Tensor>, x: Tensor, c: KvCache<Tensor>, n: Tensor) => decoderToken(config, p, x, c, n, { limit: 16, inPlace }),
      { threads: 1, args: [undefined, spec('i32', ['B']), any, spec('i32', ['B'])] },
    );
    const expected = (await whole.run(params, i32(ids))).toNested() as number[][][];
    const lengths = [4, 2];
    const start = await prefill.run(
      params,
      i32(ids.map((row, b) => row.map((t, i) => (i < (lengths[b] as number) ? t : 12)).slice(0, 4))),
      emptyCache(config, 2, 4) as KvCache<NDArray>,
      i32([0, 0]),
    );
    let cache = written(start as KvCache<NDArray>, undefined, lengths, 5);
    for (let s = 0; s < 3; s++) {
      const out = await token.run(params, i32(ids.map((row, b) => row[lengths[b] as number] as number)), cache, i32([...lengths]));
      const hidden = out.hidden.toNested() as number[][];
      for (const [b, n] of lengths.entries())
        for (const [i, x] of (hidden[b] as number[]).entries()) expect(x).toBeCloseTo(expected[b]?.[n]?.[i] as number, 3);
      const after = out.cache as KvCache<NDArray>;
      expect(after.length > 0 && out.rows.length > 0).toBe(false);
      cache = after.length > 0 ? written(after, undefined, lengths, 6 + s) : written(cache, out.rows as KvCache<NDArray>, lengths, 6 + s);
      lengths.forEach((n, b) => {
        lengths[b] = n + 1;
      });
    }
    for (const compiled of [whole, prefill, token]) compiled.dispose();
  });
});
