import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConfigJson, loadModel, loadParams, readConfig } from '../../../src/models/families/index.js';
import { NDArray, VitroError } from '../../../src/tensor/index.js';
import { golden, goldenCase, goldenFamilies, goldenTensors, largestDifference, loadGolden, logitsOf, memorySource } from './support.js';

const llama = goldenCase('llama', 'grouped').config;
const read = (change: Record<string, unknown>, base: ConfigJson = llama): (() => unknown) => {
  const json = Object.fromEntries(Object.entries({ ...base, ...change }).filter(([, v]) => v !== undefined));
  return () => readConfig(json);
};

describe('a config.json', () => {
  it('of an unknown family names the nearest and all known ones', () => {
    expect(read({ model_type: 'lama' })).toThrow(
      /unknown model_type "lama"; the nearest is "llama", known are llama, mistral, .*qwen3_moe/,
    );
    expect(read({ model_type: 'gemma3' })).toThrow(/nearest is "gemma/);
    expect(read({ model_type: 'constructor' })).toThrow(/unknown model_type "constructor"/);
    expect(read({ model_type: undefined })).toThrow(/"model_type" must name a family, got nothing/);
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{ hidden_size: undefined }, /"hidden_size" is missing/],
    [{ vocab_size: '40' }, /"vocab_size" must be a number, got "40"/],
    [{ num_hidden_layers: 1e9 }, /"num_hidden_layers" must be a whole number from 1 to 10000/],
    [{ num_attention_heads: 0 }, /"num_attention_heads" must be a whole number/],
    [{ num_key_value_heads: 3 }, /num_attention_heads 4 must be a multiple of num_key_value_heads 3/],
    [{ head_dim: undefined, hidden_size: 18 }, /hidden_size 18 does not split into num_attention_heads 4/],
    [{ hidden_act: 'quick_gelu' }, /unknown hidden_act "quick_gelu"; known: silu/],
    [{ tie_word_embeddings: 'yes' }, /"tie_word_embeddings" must be true or false/],
    [{ rope_theta: 500 }, /"rope_theta" is 500 outside and 10000 inside/],
    [{ rope_scaling: { rope_type: 'linear', factor: 2 } }, /both "rope_scaling" and "rope_parameters"/],
    [{ rope_parameters: { rope_type: 'linear' } }, /rope of type "linear" needs "factor"/],
    [{ rope_parameters: { rope_type: 'llama3', factor: 8 } }, /rope of type "llama3" needs "low_freq_factor"/],
    [{ rope_parameters: { rope_type: 'longrope', short_factor: [1], long_factor: [1] } }, /"short_factor" with 4 positive numbers/],
    [
      { rope_parameters: { rope_type: 'longrope', short_factor: [1, 1, 1, 1], long_factor: [1], original_max_position_embeddings: 8 } },
      /"long_factor" with 4/,
    ],
    [{ rope_parameters: { rope_type: 'spiral' } }, /unknown rope type "spiral"; known: default, linear/],
    [{ rope_parameters: { partial_rotary_factor: 0.5 } }, /"partial_rotary_factor" is 0.5, but this family rotates whole heads/],
    [{ rope_parameters: { mrope_section: [1, 1, 2] } }, /mrope_section/],
    [{ rope_parameters: 'linear' }, /"rope_parameters" must be an object/],
    [{ quantization_config: { bits: 4 } }, /"quantization_config": \{"bits":4\} is a feature that Vitro does not have/],
    [{ use_bidirectional_attention: true }, /"use_bidirectional_attention"/],
    [{ attention_sinks: 4 }, /"attention_sinks"/],
    [{ vision_config: {} }, /"vision_config"/],
  ])('is refused with %j', (change, message) => {
    expect(read(change)).toThrow(VitroError);
    expect(read(change)).toThrow(message);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['qwen2', { layer_types: ['full_attention', 'chunked_attention'] }, /"layer_types" holds "chunked_attention"/],
    ['qwen2', { layer_types: ['full_attention'] }, /"layer_types" has 1 entries for 2 layers/],
    ['qwen2', { layer_types: ['full_attention', 'sliding_attention'] }, /sliding_window is null/],
    ['qwen3_moe', { num_local_experts: 9 }, /"num_experts" is 4, but "num_local_experts" is 9/],
    ['qwen3_moe', { num_experts_per_tok: 9 }, /"num_experts_per_tok" is 9, but there are 4 experts/],
    ['smollm3', { no_rope_layers: [1] }, /"no_rope_layers" has 1 entries for 4 layers/],
    ['gpt2', { scale_attn_by_inverse_layer_idx: true }, /"scale_attn_by_inverse_layer_idx"/],
    ['phi3', { lm_head_bias: true }, /"lm_head_bias": this family has no such biases/],
    ['gemma3_text', { rope_parameters: { full_attention: 5 }, rope_scaling: null }, /"full_attention" must be an object/],
  ])('of %s is refused with %j', (family, change, message) => {
    expect(read(change, golden(family).cases[0]?.config)).toThrow(message);
  });

  it('says which keys had no effect', () => {
    expect(readConfig({ ...llama, sliding_window: 5, logit_bias_table: [1], future: null, attention_dropout: 0.1 }).unread).toEqual([
      'sliding_window',
      'logit_bias_table',
    ]);
  });

  it('of Vitro itself is checked key by key', () => {
    const own = {
      model_type: 'vitro',
      vocab_size: 5,
      hidden_size: 4,
      num_hidden_layers: 1,
      num_attention_heads: 1,
      intermediate_size: 4,
      max_position_embeddings: 8,
    };
    expect(read({ norm_typ: 'layer' }, own)).toThrow(/unknown key "norm_typ"; did you mean "norm_type"/);
    expect(read({ layer_types: 5 }, own)).toThrow(/"layer_types" must be like/);
    expect(read({ sliding_window: null }, own)).not.toThrow();
  });

  it('with any one value changed is read or refused, and nothing else', () => {
    const configs = goldenFamilies.flatMap((name) => golden(name).cases.map(({ config }) => config));
    const change = fc
      .constantFrom(...configs)
      .chain((config) =>
        fc.tuple(
          fc.constant(config),
          fc.constantFrom(...Object.keys(config)),
          fc.oneof(fc.jsonValue(), fc.double(), fc.integer({ min: -2, max: 9 })),
        ),
      );
    fc.assert(
      fc.property(change, ([config, key, value]) => {
        try {
          readConfig({ ...config, [key]: value });
        } catch (error) {
          if (!(error instanceof VitroError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the tensors of a checkpoint', () => {
  const spec = goldenCase('llama', 'transformers 4, tied');
  const tensors = goldenTensors(spec);
  const load = (changed: Record<string, NDArray | undefined>): Promise<unknown> => {
    const { family, config } = readConfig(spec.config);
    const all = Object.entries({ ...tensors, ...changed }).filter((entry): entry is [string, NDArray] => entry[1] !== undefined);
    return loadParams(memorySource(Object.fromEntries(all)), family, config);
  };
  const some = new NDArray('f32', [2, 3], new Float32Array(6));

  it('are compared with the config, all complaints in one error', async () => {
    const wrong = load({
      'model.norm.weight': undefined,
      'model.layers.1.mlp.up_proj.weight': some,
      'model.layers.0.mlp.extra.weight': some,
      'model.layers.0.self_attn.rotary_emb.inv_freq': some,
    });
    await expect(wrong).rejects.toThrow(
      /do not fit its config.json\n {2}1 missing: model.norm.weight\n {2}1 of another shape: model.layers.1.mlp.up_proj.weight is \[2, 3\], the config asks for \[24, 16\]\n {2}1 unexpected: model.layers.0.mlp.extra.weight$/,
    );
  });

  it('may hold a tied table twice, if both are equal', async () => {
    const table = tensors['model.embed_tokens.weight'] as NDArray;
    await load({ 'lm_head.weight': table });
    const other = table.clone();
    (other.data as Float32Array)[5] = 3;
    await expect(load({ 'lm_head.weight': other })).rejects.toThrow(/"lm_head.weight" differs from the embedding table; set it to false/);
  });

  it('may be those of the bare or the wrapped model', async () => {
    const { ids } = golden('llama');
    const { family, config, model } = await loadGolden(spec);
    for (const prefix of ['', 'language_model.model.']) {
      const renamed = Object.entries(tensors).map(([name, t]) => [name.replace(/^model\./, prefix), t] as const);
      const params = await loadParams(memorySource(Object.fromEntries(renamed)), family, config);
      expect(largestDifference(await logitsOf(model, params, ids), spec.logits)).toBeLessThan(1e-4);
    }
  });

  it('are not looked for where there is nothing', async () => {
    await expect(loadModel('/nowhere/model')).rejects.toThrow(/no such file/);
  });
});
