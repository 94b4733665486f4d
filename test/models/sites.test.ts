import { describe, expect, it } from 'vitest';
import { type Decoder, type DecoderConfig, decoderHidden, initDecoder } from '../../src/models/decoder/index.js';
import { attentions } from '../../src/nn/attention/index.js';
import { array, collectSites, compile, type NDArray, type Tensor, treeEntries, withSites } from '../../src/tensor/index.js';

const config: DecoderConfig = {
  vocab_size: 13,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 12,
  max_position_embeddings: 16,
};
const [B, T] = [2, 6];
const ids = array(
  [
    [3, 1, 4, 1, 5, 9],
    [6, 5, 3, 5, 8, 9],
  ],
  { dtype: 'i32' },
);

/** Larger weights than at the start, so that every part counts. */
function strongParams(own: DecoderConfig): Decoder<NDArray> {
  const params = initDecoder(own, 5);
  for (const [path, p] of treeEntries<NDArray>(params as never)) {
    if (p.shape.length === 1) continue;
    const data = p.data as Float32Array;
    for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (path.startsWith('embed') ? 40 : 3);
  }
  return params;
}

const gap = (a: NDArray, b: NDArray): number => {
  const [x, y] = [a.toNumbers(), b.toNumbers()];
  return Math.max(...x.map((v, i) => Math.abs(v - (y[i] as number))));
};

/** Hidden states and the named sites of one pass. */
async function collect(own: DecoderConfig, patterns: readonly string[]): Promise<{ hidden: NDArray; sites: Map<string, NDArray> }> {
  const pass = compile(
    (p: Decoder<Tensor>, x: Tensor) => {
      const { result, values } = collectSites(patterns, () => decoderHidden(own, p, x));
      return { hidden: result, sites: Object.fromEntries([...values].map(([name, v]) => [name.replaceAll('.', '/'), v])) };
    },
    { backend: 'reference' },
  );
  const { hidden, sites } = await pass.run(strongParams(own), ids);
  pass.dispose();
  return { hidden, sites: new Map(Object.entries(sites).map(([name, v]) => [name.replaceAll('/', '.'), v])) };
}

const shapes: Readonly<Record<string, readonly number[]>> = {
  'layers.*.attn.scores': [B, 4, T, T],
  'layers.*.attn.weights': [B, 4, T, T],
  'layers.*.attn.q': [B, 4, T, 4],
  'layers.*.attn.k': [B, 2, T, 4],
  'layers.*.attn.v': [B, 2, T, 4],
  'layers.*.attn.mixed': [B, 4, T, 4],
  'layers.*.attn.output': [B, T, 16],
  'layers.*.mlp.hidden': [B, T, 12],
  'layers.*.input': [B, T, 16],
  'layers.*.output': [B, T, 16],
  norm: [B, T, 16],
};

describe('sites of the decoder', () => {
  it('are collected in every layer, with the shapes of their values', async () => {
    const { sites } = await collect(config, Object.keys(shapes));
    for (const [pattern, shape] of Object.entries(shapes))
      for (const name of pattern.includes('*') ? [0, 1].map((i) => pattern.replace('*', String(i))) : [pattern])
        expect(sites.get(name)?.shape, name).toEqual(shape);
    expect(sites.size).toBe(2 * (Object.keys(shapes).length - 1) + 1);
  });

  it('hold values that fit together', async () => {
    const { hidden, sites } = await collect(config, Object.keys(shapes));
    const at = (name: string): NDArray => sites.get(`layers.1.${name}`) as NDArray;
    expect(sites.get('norm')?.toNumbers()).toEqual(hidden.toNumbers());
    const [q, k, v] = ['q', 'k', 'v'].map((x) => at(`attn.${x}`).toNested() as number[][][][]);
    const [scores, weights, mixed] = ['scores', 'weights', 'mixed'].map((x) => at(`attn.${x}`).toNested() as number[][][][]);
    for (let b = 0; b < B; b++)
      for (let h = 0; h < 4; h++)
        for (let t = 0; t < T; t++) {
          const row = scores?.[b]?.[h]?.[t] as number[];
          const kv = Math.floor(h / 2);
          const want = Array.from({ length: t + 1 }, (_, s) =>
            [0, 1, 2, 3].reduce((a, i) => a + ((q?.[b]?.[h]?.[t]?.[i] ?? 0) * (k?.[b]?.[kv]?.[s]?.[i] ?? 0)) / 2, 0),
          );
          const total = want.reduce((a, x) => a + Math.exp(x), 0);
          for (const [s, x] of want.entries()) {
            expect(row[s]).toBeCloseTo(x, 4);
            expect(weights?.[b]?.[h]?.[t]?.[s]).toBeCloseTo(Math.exp(x) / total, 5);
          }
          // what may not be seen scores far below everything and weighs nothing
          for (let s = t + 1; s < T; s++) expect([(row[s] as number) < -1e20, weights?.[b]?.[h]?.[t]?.[s]]).toEqual([true, 0]);
          for (let i = 0; i < 4; i++)
            expect(mixed?.[b]?.[h]?.[t]?.[i]).toBeCloseTo(
              want.reduce((a, x, s) => a + (Math.exp(x) / total) * (v?.[b]?.[kv]?.[s]?.[i] ?? 0), 0),
              4,
            );
        }
  });

  const variants: Readonly<Record<string, Partial<DecoderConfig>>> = {
    ...Object.fromEntries(Object.keys(attentions).map((attention_method) => [attention_method, { attention_method }])),
    'soft cap': { attn_logit_softcapping: 2 },
    alibi: { position_method: 'alibi' },
    'sliding windows': { layer_types: ['sliding_attention', 'full_attention'], sliding_window: 3 },
    'small keys': { attention_method: 'diff-qkv', attention_settings: { key_head_dim: 2 } },
  };
  it.each(Object.entries(variants))('leave the result of the fused attention as it is: %s', async (_, variant) => {
    const own = { ...config, ...variant };
    const open = await collect(own, ['layers.*.attn.scores', 'layers.*.attn.weights']);
    const fused = await collect(own, ['norm']);
    expect(open.sites.size).toBe(4);
    expect(gap(open.hidden, fused.hidden)).toBeLessThan(1e-5);
    // a weight for every key that may be seen, adding up to one
    const weights = (open.sites.get('layers.0.attn.weights') as NDArray).toNested() as number[][][][];
    for (const row of weights.flat(2)) expect(row.reduce((a, x) => a + x, 0)).toBeCloseTo(1, 5);
  });

  it.each(Object.keys(shapes))('take effect where they are replaced: %s', async (pattern) => {
    const params = strongParams(config);
    const run = async (handlers?: Parameters<typeof withSites>[0]): Promise<NDArray> => {
      const pass = compile(
        (p: Decoder<Tensor>, x: Tensor) =>
          handlers ? withSites(handlers, () => decoderHidden(config, p, x)) : decoderHidden(config, p, x),
        { backend: 'reference' },
      );
      const out = await pass.run(params, ids);
      pass.dispose();
      return out;
    };
    const plain = await run();
    const name = pattern.replace('*', '1');
    expect(gap(await run({ [name]: (x) => x.mul(0.5).add(1) }), plain)).toBeGreaterThan(1e-3);
    // a handler that gives back what it got changes nothing
    expect(gap(await run({ [name]: (x) => x }), plain)).toBeLessThan(1e-5);
  });

  it('cost nothing: reading leaves the compiled graph as it is, and only watched scores open the fused attention', () => {
    const params = strongParams(config);
    const graph = (fn: (p: Decoder<Tensor>, x: Tensor) => Tensor): string => {
      const pass = compile(fn, { backend: 'reference', name: 'pass' });
      const text = pass.print(params, ids);
      pass.dispose();
      return text;
    };
    const plain = graph((p, x) => decoderHidden(config, p, x));
    const read: string[] = [];
    const watched = graph((p, x) =>
      withSites(
        {
          'layers.*.attn.q': (_, name) => {
            read.push(name);
          },
        },
        () => decoderHidden(config, p, x),
      ),
    );
    expect(read).toEqual(['layers.0.attn.q', 'layers.1.attn.q']);
    expect(watched).toBe(plain);
    expect(plain).toContain('attention');
    // whoever watches the scores gets them, in place of the fused operation
    const opened = graph((p, x) => withSites({ 'layers.0.attn.scores': (s) => s }, () => decoderHidden(config, p, x)));
    expect(opened).not.toBe(plain);
    expect(opened.match(/attention/g)?.length).toBeLessThan(plain.match(/attention/g)?.length as number);
  });
});
