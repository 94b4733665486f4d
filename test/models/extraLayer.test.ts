import { describe, expect, it } from 'vitest';
import { type Decoder, type DecoderConfig, decoderHidden, decoderModel, initModel } from '../../src/models/index.js';
import type { ParamTree } from '../../src/nn/param.js';
import { array, compile, NDArray, type Tensor } from '../../src/tensor/index.js';

const base: DecoderConfig = {
  vocab_size: 12,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 6,
  max_position_embeddings: 9,
};

describe.each([
  ['full attention', base],
  ['a window, positions and segments', { ...base, layer_types: ['sliding_attention'] as const, sliding_window: 2 }],
])('extra layer: %s', (name, config) => {
  it('is the only layer of a model whose embeddings are the hidden states', async () => {
    const model = decoderModel(config);
    const params = initModel(model, 4);
    // the hidden states are the rows of the table, so that a one-layer model over ids 0 ... 11 must give the same
    const values = Float32Array.from({ length: 12 * 8 }, (_, i) => Math.sin(i * i));
    const ids = array(
      [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
      ],
      { dtype: 'i32' },
    );
    const rows = (x: number[]): NDArray => array([x, x], { dtype: 'i32' });
    const view: Record<string, NDArray> =
      name === 'full attention' ? {} : { positions: rows([0, 1, 2, 0, 5, 8]), segment_ids: rows([1, 1, 1, 2, 2, 2]) };
    const run = compile(
      (p: ParamTree<Tensor>, table: Tensor, x: Tensor, i: Tensor, v: Record<string, Tensor>) => {
        const decoder = p as unknown as Decoder<Tensor>;
        const weights = { layer: decoder.layers[0], norm: decoder.norm } as unknown as ParamTree<Tensor>;
        return {
          layer: model.extraLayer.apply(p, weights, x, v),
          whole: decoderHidden(config, { ...decoder, embed_tokens: { weight: table } }, i, v),
        };
      },
      { backend: 'reference' },
    );
    const out = await run.run(params as never, new NDArray('f32', [12, 8], values), new NDArray('f32', [2, 6, 8], values), ids, view);
    expect(out.layer.toNumbers()).toEqual(out.whole.toNumbers());
    expect(Math.max(...out.layer.toNumbers().map(Math.abs))).toBeGreaterThan(0.5);
    run.dispose();
  });

  it('costs as much as one more layer of the model', () => {
    const two = {
      ...config,
      num_hidden_layers: 2,
      ...(config.layer_types ? { layer_types: [...config.layer_types, ...config.layer_types] } : {}),
    };
    const [one, more] = [decoderModel(config), decoderModel(two)];
    // the norm behind the extra layer is the only difference
    expect(one.extraLayer.trainFlopsPerToken(9) - (more.trainFlopsPerToken(9) - one.trainFlopsPerToken(9))).toBe(6 * 8);
  });
});
