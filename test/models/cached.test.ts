import { describe, expect, it } from 'vitest';
import {
  type Decoder,
  type DecoderConfig,
  decoderHidden,
  decoderStep,
  emptyCache,
  initDecoder,
  type KvCache,
} from '../../src/models/decoder/index.js';
import { attentions } from '../../src/nn/attention/index.js';
import { array, type BackendName, compile, type NDArray, type Tensor, treeEntries } from '../../src/tensor/index.js';

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
  'rope, fused': {},
  'no positions, fused': { position_method: 'nope' },
  'rope, heads of 8 values': { head_dim: 8 },
  'no positions in some layers': { position_layers: [true, false] },
  'embeddings of each layer': { hidden_size_per_layer_input: 4 },
  'learned positions, fused': { position_method: 'learned' },
  alibi: { position_method: 'alibi' },
  'partial rotation': { position_settings: { partial_rotary_factor: 0.5 } },
  'soft-capped scores': { attn_logit_softcapping: 2 },
  'sliding windows': { layer_types: ['sliding_attention', 'full_attention'], sliding_window: 3 },
  'head norms': { qk_norm: 'head', norm_placement: 'sandwich' },
  ...Object.fromEntries(Object.keys(attentions).map((attention_method) => [`attention ${attention_method}`, { attention_method }])),
  'keys made late, rotated': { attention_method: 'diff-qkv', attention_settings: { key_head_dim: 2, q_augment_ratio: 0.5 } },
  'keys made late, partial rotation': {
    attention_method: 'diff-qkv',
    attention_settings: { key_head_dim: 2 },
    position_settings: { partial_rotary_factor: 0.5 },
  },
  'simulated heads with alibi': { attention_method: 'sas', position_method: 'alibi' },
  'free energy in sliding windows': {
    attention_method: 'fem',
    layer_types: ['sliding_attention', 'full_attention'],
    sliding_window: 3,
  },
};

const ids = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5, 3, 5, 8, 9, 7],
];
const i32 = (rows: readonly (readonly number[])[]): NDArray => array(rows, { dtype: 'i32' });

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

describe.each(Object.entries(variants))('decoding with a cache: %s', (_, variant) => {
  const config = { ...base, ...variant };
  const params = strongParams(config);

  it.each(['reference', 'ort'] as BackendName[])(
    'gives the hidden states of the whole sequence, rows of unequal length (%s)',
    async (backend) => {
      const whole = compile((p: Decoder<Tensor>, x: Tensor) => decoderHidden(config, p, x), { backend });
      const step = compile(
        (p: Decoder<Tensor>, x: Tensor, cache: KvCache<Tensor>, lengths: Tensor) => decoderStep(config, p, x, cache, lengths),
        { backend },
      );
      const expected = (await whole.run(params, i32(ids))).toNested() as number[][][];
      // the second row prefills 2 tokens, padded to 4: what stands in its padding must not be seen later
      let cache = emptyCache(config, 2, 12) as KvCache<NDArray>;
      const lengths = [4, 2];
      const prefill = await step.run(
        params,
        i32(ids.map((row, b) => row.map((t, i) => (i < (lengths[b] as number) ? t : 12)).slice(0, 4))),
        cache,
        array([0, 0], { dtype: 'i32' }),
      );
      const close = (got: number[], want: number[]): void => {
        for (const [i, x] of got.entries()) expect(x).toBeCloseTo(want[i] as number, 3);
      };
      const first = prefill.hidden.toNested() as number[][][];
      lengths.forEach((n, b) => {
        for (let t = 0; t < n; t++) close(first[b]?.[t] as number[], expected[b]?.[t] as number[]);
      });
      cache = prefill.cache as KvCache<NDArray>;
      for (let s = 0; s < 3; s++) {
        const next = ids.map((row, b) => [row[lengths[b] as number] as number]);
        const out = await step.run(params, i32(next), cache, array([...lengths], { dtype: 'i32' }));
        const hidden = out.hidden.toNested() as number[][][];
        for (const [b, n] of lengths.entries()) close(hidden[b]?.[0] as number[], expected[b]?.[n] as number[]);
        cache = out.cache as KvCache<NDArray>;
        lengths.forEach((n, b) => {
          lengths[b] = n + 1;
        });
      }
      whole.dispose();
      step.dispose();
    },
  );
});
