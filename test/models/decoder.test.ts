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
} from '../../src/models/decoder.js';
import { array, compile, type NDArray, type Tensor } from '../../src/tensor/index.js';

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
  const qkv = times(x, matrixOf(layer.qkv));
  const mixed = x.map(() => new Array<number>(D).fill(0));
  for (let h = 0; h < H; h++) {
    const part = (which: number): Rows => qkv.map((row) => row.slice(which * D + h * d, which * D + (h + 1) * d));
    const [q, k, v] = [part(0).map(turn), part(1).map(turn), part(2)] as [Rows, Rows, Rows];
    q.forEach((query, t) => {
      const weights = k.slice(0, t + 1).map((key) => Math.exp(dot(query, key) / Math.sqrt(d)));
      const total = weights.reduce((a, b) => a + b, 0);
      for (let i = 0; i < d; i++)
        (mixed[t] as number[])[h * d + i] = weights.reduce((s, w, u) => s + (w / total) * ((v[u] as number[])[i] as number), 0);
    });
  }
  return times(mixed, matrixOf(layer.out));
}
function feed(layer: DecoderLayer<NDArray>, x: Rows): Rows {
  const F = config.intermediate_size;
  const hidden = times(x, matrixOf(layer.gateUp)).map((row) =>
    row.slice(0, F).map((g, i) => (g / (1 + Math.exp(-g))) * (row[F + i] as number)),
  );
  return times(hidden, matrixOf(layer.down));
}
function plainLosses(params: Decoder<NDArray>, ids: number[], targets: number[]): number[] {
  const table = matrixOf(params.embed);
  let x = ids.map((id) => [...(table[id] as number[])]);
  for (const layer of params.layers) {
    x = plus(x, attend(layer, norm(x, layer.norm1.toNumbers())));
    x = plus(x, feed(layer, norm(x, layer.norm2.toNumbers())));
  }
  return norm(x, params.norm.toNumbers()).map((row, t) => {
    const logits = table.map((e) => dot(e, row));
    return Math.log(logits.reduce((s, z) => s + Math.exp(z), 0)) - (logits[targets[t] as number] as number);
  });
}

describe('decoder', () => {
  // the start is nearly uniform; larger weights make every part count
  const params = initDecoder(config, 3);
  for (const p of [params.embed, ...params.layers.flatMap((l) => [l.qkv, l.out, l.gateUp, l.down])]) {
    const data = p.data as Float32Array;
    for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (p === params.embed ? 40 : 3);
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
    expect(initDecoder(config, 1).layers[1]?.qkv.toNumbers()).toEqual(start.layers[1]?.qkv.toNumbers());
    expect(initDecoder(config, 2).embed.toNumbers()).not.toEqual(start.embed.toNumbers());
  });

  it('draws weights with the stated spread', () => {
    const { layers, embed } = initDecoder({ ...config, vocab_size: 256, hidden_size: 64, intermediate_size: 128 }, 0);
    const spread = (x?: NDArray): number => {
      const values = x?.toNumbers() ?? [];
      return Math.sqrt(values.reduce((s, v) => s + v * v, 0) / values.length);
    };
    expect(spread(embed) / 0.02).toBeCloseTo(1, 1);
    expect(spread(layers[0]?.qkv) * Math.sqrt(3 * 64)).toBeCloseTo(1, 1);
    expect(spread(layers[0]?.down) * Math.sqrt(3 * 128) * 2).toBeCloseTo(1, 1);
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
