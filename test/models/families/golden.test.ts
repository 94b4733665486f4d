import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/models/families/index.js';
import { cachedLogits, golden, goldenCase, goldenFamilies, largestDifference, loadGolden, logitsOf } from './support.js';

const onReference = new Set(['gemma3_text', 'qwen3_moe', 'phi3', 'gpt_neox']);

describe.each(goldenFamilies)('%s as in Python transformers', (name) => {
  const { ids, cases } = golden(name);

  it.each(cases)('$name', async (spec) => {
    const { model, params } = await loadGolden(spec);
    const difference = largestDifference(await logitsOf(model, params, ids), spec.logits);
    if (process.env.VITRO_SHOW) console.log(`${name} | ${spec.name} | ${difference.toExponential(1)}`);
    expect(difference).toBeLessThan(1e-4);
    if (onReference.has(name)) expect(largestDifference(await logitsOf(model, params, ids, 'reference'), spec.logits)).toBeLessThan(1e-4);
  });

  it.each(cases)('$name, through a cache', async (spec) => {
    const { model, params } = await loadGolden(spec);
    const got = await cachedLogits(model, params, ids, { prefill: 5, capacity: 12 });
    expect(largestDifference(got, spec.logits)).toBeLessThan(1e-4);
  });
});

describe('every feature of a config counts', () => {
  const without: readonly [string, string, Record<string, unknown>][] = [
    ['llama', 'rope linear', { rope_scaling: null }],
    ['llama', 'rope dynamic', { rope_parameters: { rope_theta: 10000 }, max_position_embeddings: 16 }],
    ['llama', 'rope yarn, factor', { rope_scaling: null }],
    ['llama', 'rope llama3', { rope_parameters: { rope_theta: 10000 } }],
    ['mistral', 'sliding window', { sliding_window: 6 }],
    ['smollm3', 'every second', { no_rope_layers: [1, 1, 1, 1] }],
    ['qwen2', 'windows', { max_window_layers: 2 }],
    ['qwen3_moe', 'tensors of each', { norm_topk_prob: false }],
    ['qwen3_moe', 'tensors of each', { num_experts_per_tok: 3 }],
    ['gemma2', 'soft caps', { attn_logit_softcapping: null }],
    ['gemma2', 'soft caps', { query_pre_attn_scalar: 8 }],
    ['gemma3_text', 'transformers 4', { rope_local_base_freq: 1e6 }],
    ['gemma3_text', 'transformers 4', { rope_scaling: null }],
    ['phi3', 'longrope beyond', { original_max_position_embeddings: 16 }],
    ['gpt_neox', 'parallel', { use_parallel_residual: false }],
    ['gpt_neox', 'parallel', { rotary_pct: 0.5 }],
    ['gpt2', 'own head', { scale_attn_weights: true }],
  ];

  it.each(without)('%s, %s: %j changes the logits', async (family, start, change) => {
    const spec = goldenCase(family, start);
    const { model, params } = await loadGolden({ ...spec, config: { ...spec.config, ...change } });
    expect(largestDifference(await logitsOf(model, params, golden(family).ids), spec.logits)).toBeGreaterThan(0.01);
  });

  it('reads every golden config without a key that it does not know', () => {
    for (const name of goldenFamilies) for (const { config } of golden(name).cases) expect(readConfig(config).unread).toEqual([]);
  });
});
