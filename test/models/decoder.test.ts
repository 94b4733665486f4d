import { describe, expect, it } from 'vitest';
import {
  type Decoder,
  type DecoderConfig,
  type DecoderLayer,
  decoderLoss,
  decoderParameterCount,
  decoderSpecs,
  decoderTrainFlopsPerToken,
  initDecoder,
} from '../../src/models/decoder/index.js';
import { array, compile, type NDArray, type Tensor, treeEntries } from '../../src/tensor/index.js';

const config: DecoderConfig = {
  vocab_size: 11,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 6,
  max_position_embeddings: 5,
};

const loss = compile((params: Decoder<Tensor>, inputs: Tensor, targets: Tensor) => decoderLoss(config, params, inputs, targets), {
  backend: 'reference',
});

// ---- the same model in scalar loops, one sequence at a time ----
type Rows = number[][];
type Named<K extends string> = Readonly<Record<K, { readonly weight: NDArray }>>;
type Attention = Named<'q_proj' | 'k_proj' | 'v_proj' | 'o_proj'>;
type Mlp = Named<'gate_proj' | 'up_proj' | 'down_proj'>;
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((s, x, i) => s + x * (b[i] as number), 0);
const matrixOf = (x: NDArray): Rows => x.toNested() as Rows;
const times = (x: Rows, w: Rows): Rows =>
  x.map((row) => (w[0] as number[]).map((_, j) => row.reduce((s, v, i) => s + v * ((w[i] as number[])[j] as number), 0)));
const plus = (a: Rows, b: Rows): Rows => a.map((row, i) => row.map((v, j) => v + ((b[i] as number[])[j] as number)));
const norm = (x: Rows, gain: number[]): Rows =>
  x.map((row) => row.map((v, j) => (v / Math.sqrt(dot(row, row) / row.length + 1e-5)) * (gain[j] as number)));
function turn(row: number[], position: number): number[] {
  const half = row.length / 2;
  return row.map((v, i) => {
    const angle = position * 10000 ** (-(2 * (i % half)) / row.length);
    const other = i < half ? -(row[i + half] as number) : (row[i - half] as number);
    return v * Math.cos(angle) + other * Math.sin(angle);
  });
}
function attend(layer: DecoderLayer<NDArray>, x: Rows): Rows {
  const [D, H] = [config.hidden_size, config.num_attention_heads];
  const d = D / H;
  const { q_proj, k_proj, v_proj, o_proj } = layer.self_attn as unknown as Attention;
  const joint = [q_proj, k_proj, v_proj].map(({ weight }) => times(x, matrixOf(weight)));
  const mixed = x.map(() => new Array<number>(D).fill(0));
  for (let h = 0; h < H; h++) {
    const part = (which: number): Rows => (joint[which] as Rows).map((row) => row.slice(h * d, (h + 1) * d));
    const [q, k, v] = [part(0).map(turn), part(1).map(turn), part(2)] as [Rows, Rows, Rows];
    q.forEach((query, t) => {
      const weights = k.slice(0, t + 1).map((key) => Math.exp(dot(query, key) / Math.sqrt(d)));
      const total = weights.reduce((a, b) => a + b, 0);
      for (let i = 0; i < d; i++)
        (mixed[t] as number[])[h * d + i] = weights.reduce((s, w, u) => s + (w / total) * ((v[u] as number[])[i] as number), 0);
    });
  }
  return times(mixed, matrixOf(o_proj.weight));
}
function feed(layer: DecoderLayer<NDArray>, x: Rows): Rows {
  const { gate_proj, up_proj, down_proj } = layer.mlp as unknown as Mlp;
  const up = times(x, matrixOf(up_proj.weight));
  const hidden = times(x, matrixOf(gate_proj.weight)).map((row, t) =>
    row.map((g, i) => (g / (1 + Math.exp(-g))) * ((up[t] as number[])[i] as number)),
  );
  return times(hidden, matrixOf(down_proj.weight));
}
function plainLosses(params: Decoder<NDArray>, ids: number[], targets: number[]): number[] {
  const table = matrixOf(params.embed_tokens.weight);
  let x = ids.map((id) => [...(table[id] as number[])]);
  for (const layer of params.layers) {
    x = plus(x, attend(layer, norm(x, layer.input_layernorm?.weight.toNumbers() ?? [])));
    x = plus(x, feed(layer, norm(x, layer.post_attention_layernorm.weight.toNumbers())));
  }
  return norm(x, params.norm.weight.toNumbers()).map((row, t) => {
    const logits = table.map((e) => dot(e, row));
    return Math.log(logits.reduce((s, z) => s + Math.exp(z), 0)) - (logits[targets[t] as number] as number);
  });
}

describe('decoder', () => {
  // the start is nearly uniform; larger weights make every part count
  const params = initDecoder(config, 3);
  for (const [path, p] of treeEntries<NDArray>(params as never)) {
    if (p.shape.length === 1) continue;
    const data = p.data as Float32Array;
    for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (path.startsWith('embed') ? 40 : 3);
  }
  const ids = [
    [3, 1, 4, 1, 5],
    [9, 2, 6, 5, 10],
  ];
  const targets = [
    [1, 4, 1, 5, 9],
    [2, 6, 5, 10, 0],
  ];

  it('computes the loss that scalar loops compute', async () => {
    const expected = ids.flatMap((row, b) => plainLosses(params, row, targets[b] as number[]));
    const mean = expected.reduce((a, b) => a + b, 0) / expected.length;
    const got = (await loss.run(params, array(ids, { dtype: 'i32' }), array(targets, { dtype: 'i32' }))).item();
    expect(got).toBeCloseTo(mean, 5);
    expect(Math.abs(mean - Math.log(11))).toBeGreaterThan(0.2);
  });

  it('starts near the uniform distribution, the same for the same seed', async () => {
    const start = initDecoder(config, 1);
    const got = (await loss.run(start, array(ids, { dtype: 'i32' }), array(targets, { dtype: 'i32' }))).item();
    expect(got).toBeCloseTo(Math.log(11), 1);
    const values = (d: Decoder<NDArray>): number[][] => treeEntries<NDArray>(d as never).map(([, p]) => p.toNumbers());
    expect(values(initDecoder(config, 1))).toEqual(values(start));
    expect(initDecoder(config, 2).embed_tokens.weight.toNumbers()).not.toEqual(start.embed_tokens.weight.toNumbers());
  });

  it('draws weights with the stated spread', () => {
    const start = initDecoder({ ...config, vocab_size: 256, hidden_size: 64, intermediate_size: 128 }, 0);
    const spread = (x?: NDArray): number => {
      const values = x?.toNumbers() ?? [];
      return Math.sqrt(values.reduce((s, v) => s + v * v, 0) / values.length);
    };
    const params = Object.fromEntries(treeEntries<NDArray>(start as never));
    expect(spread(params['embed_tokens.weight']) / 0.02).toBeCloseTo(1, 1);
    expect(spread(params['layers.0.self_attn.q_proj.weight']) * Math.sqrt(3 * 64)).toBeCloseTo(1, 1);
    expect(spread(params['layers.0.mlp.down_proj.weight']) * Math.sqrt(3 * 128) * 2).toBeCloseTo(1, 1);
  });

  it('counts parameters and operations', () => {
    // 11*8 table; per layer 8 + 8*24 + 8*8 + 8 + 8*12 + 6*8; final norm 8
    const n = 88 + 2 * (8 + 192 + 64 + 8 + 96 + 48) + 8;
    expect(decoderParameterCount(config)).toBe(n);
    expect(decoderTrainFlopsPerToken(config)).toBe(6 * n + 12 * 2 * 5 * 8);
  });

  it('refuses heads that do not fit and sequences that are too long', async () => {
    expect(() => decoderSpecs({ ...config, num_attention_heads: 3 })).toThrow(/heads/);
    const long = array([[0, 1, 2, 3, 4, 5]], { dtype: 'i32' });
    await expect(loss.run(params, long, long)).rejects.toThrow(/at most 5/);
  });
});
