import { describe, expect, it } from 'vitest';
import type { ParamSpec, Settings } from '../../../src/contracts/index.js';
import { type AttentionConfig, type AttentionMethod, attentions } from '../../../src/nn/attention/index.js';
import { NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { randomNumbers } from '../../tensor/autodiff/finiteDifferences.js';
import { average, causalWeights, dot, part, type Rows, rows, sigmoid, times, vector, work } from './scalar.js';
import { contextOf, drawWeights, randomArray, runLayer, type Weights } from './support.js';

const [B, T, D, H, Hk, d] = [2, 4, 12, 4, 2, 6];
const x = randomArray([B, T, D], randomNumbers(21));
const sequences = x.toNested() as number[][][];

/** Compares the method on the reference backend with loops over each sequence, without positions. */
async function compareWith(
  id: string,
  settings: Settings,
  loops: (weights: Weights, x: Rows) => Rows,
  config: Partial<AttentionConfig> = {},
): Promise<Weights> {
  const method = attentions[id] as AttentionMethod;
  const context = contextOf(method, settings, config);
  const weights = drawWeights(method, context, 31);
  const got = (await runLayer(method, context, weights, x, { position: null })).toNested() as number[][][];
  sequences.forEach((sequence, b) => {
    loops(weights, sequence).forEach((row, t) => {
      for (const [i, want] of row.entries()) expect(got[b]?.[t]?.[i]).toBeCloseTo(want, 5);
    });
  });
  return weights;
}

/** Maps every token by `name` and cuts the result into heads: [token][head][feature]. */
const project = (weights: Weights, name: string, tokens: Rows, heads: number, bias?: string): number[][][] =>
  tokens.map((row) => {
    const flat = times(row, rows(weights, `${name}.weight`), bias ? vector(weights, bias) : undefined);
    return Array.from({ length: heads }, (_, h) => part(flat, h, flat.length / heads));
  });
const headOf = (tokens: number[][][], h: number): Rows => tokens.map((heads) => heads[h] as number[]);
const outMap = (weights: Weights, heads: Rows): number[] => times(heads.flat(), rows(weights, 'o_proj.weight'));

describe('softmax in loops', () => {
  const loops =
    (scale: number, softcap: number) =>
    (w: Weights, tokens: Rows): Rows => {
      const [q, k, v] = [project(w, 'q_proj', tokens, H), project(w, 'k_proj', tokens, Hk), project(w, 'v_proj', tokens, Hk)];
      return tokens.map((_, t) =>
        outMap(
          w,
          Array.from({ length: H }, (_, h) => {
            const shared = Math.floor((h * Hk) / H);
            const p = causalWeights(t, (s) => {
              const score = scale * dot(q[t]?.[h] ?? [], k[s]?.[shared] ?? []);
              return softcap > 0 ? softcap * Math.tanh(score / softcap) : score;
            });
            return average(p, headOf(v, shared));
          }),
        ),
      );
    };
  it('is what the method computes', async () => {
    await compareWith('softmax', {}, loops(d ** -0.5, 0));
    await compareWith('softmax', {}, loops(0.7, 1.5), { scale: 0.7, softcap: 1.5 });
  });
});

describe('quest in loops', () => {
  const loops =
    (scale: number) =>
    (w: Weights, tokens: Rows): Rows => {
      const [q, k, v] = [project(w, 'q_proj', tokens, H), project(w, 'k_proj', tokens, Hk), project(w, 'v_proj', tokens, Hk)];
      return tokens.map((_, t) =>
        outMap(
          w,
          Array.from({ length: H }, (_, h) => {
            const shared = Math.floor((h * Hk) / H);
            const p = causalWeights(t, (s) => {
              const key = k[s]?.[shared] ?? [];
              return (scale * dot(q[t]?.[h] ?? [], key)) / Math.sqrt(dot(key, key));
            });
            return average(p, headOf(v, shared));
          }),
        ),
      );
    };

  it.each([
    ['the scale of the paper', {}, 1],
    ['a scale', { scale: 2.5 }, 2.5],
    ["the config's scale", { scale: 0 }, d ** -0.5],
  ])('is what the method computes: %s', async (_, settings, scale) => {
    await compareWith('quest', settings, loops(scale));
  });

  it('does not see the length of keys, but that of queries', async () => {
    const method = attentions.quest as AttentionMethod;
    const context = contextOf(method);
    const weights = drawWeights(method, context, 31);
    const scaled = (name: string): Weights => {
      const w = weights[name] as NDArray;
      return {
        ...weights,
        [name]: new NDArray(
          'f32',
          w.shape,
          Float32Array.from(w.toNumbers(), (v) => 4 * v),
        ),
      };
    };
    const plain = (await runLayer(method, context, weights, x)).toNumbers();
    const keys = (await runLayer(method, context, scaled('k_proj.weight'), x)).toNumbers();
    const queries = (await runLayer(method, context, scaled('q_proj.weight'), x)).toNumbers();
    expect(Math.max(...plain.map((v, i) => Math.abs(v - (keys[i] as number))))).toBeLessThan(1e-6);
    expect(Math.max(...plain.map((v, i) => Math.abs(v - (queries[i] as number))))).toBeGreaterThan(1e-2);
  });
});

describe('fem in loops', () => {
  const size = 4;
  const loops =
    (gated: boolean, cap: number) =>
    (w: Weights, tokens: Rows): Rows => {
      const [q, k, v] = [project(w, 'q_proj', tokens, H), project(w, 'k_proj', tokens, Hk), project(w, 'v_proj', tokens, Hk)];
      const lambda = project(w, 'lambda_proj', tokens, H);
      const gate = gated ? project(w, 'gate_proj', tokens, H) : undefined;
      const beta = vector(w, 'inverse_temperature.weight').map((p) => Math.log(1 + Math.exp(p + 1.8)));
      return tokens.map((_, t) =>
        outMap(
          w,
          Array.from({ length: H }, (_, h) => {
            const shared = Math.floor((h * Hk) / H);
            const p = causalWeights(t, (s) => d ** -0.5 * dot(q[t]?.[h] ?? [], k[s]?.[shared] ?? []));
            const positive = gate?.[t]?.[h]?.map((g) => Math.log(1 + Math.exp(g)));
            const norm = positive ? Math.sqrt(dot(positive, positive) / size) : 1;
            return Array.from({ length: size }, (_, c) => {
              const b = beta[shared * size + c] as number;
              const value = headOf(v, shared).map((row) => Math.min(Math.max(row[c] as number, -cap / b), cap / b));
              const mean = dot(p, value);
              const energy = Math.log(p.reduce((s, w, i) => s + w * Math.exp(b * (value[i] as number)), 0)) / b;
              const l = sigmoid(lambda[t]?.[h]?.[c] as number);
              return ((positive?.[c] ?? 1) / norm) * ((1 - l) * mean + l * energy);
            });
          }),
        ),
      );
    };

  it.each([
    ['both gates', {}, true, 40],
    ['the inner gate alone', { outer_gate: false }, false, 40],
    ['values cut off', { value_cap: 1 }, true, 1],
  ])('is what the method computes: %s', async (_, settings, gated, cap) => {
    await compareWith('fem', { value_ratio: size / d, ...settings }, loops(gated, cap));
  });

  it('reads the largest value of each channel where b is large and the gate open', async () => {
    const method = attentions.fem as AttentionMethod;
    const context = contextOf(method, { value_ratio: 1, outer_gate: false, beta_init: 300, value_cap: 600 }, { attention_bias: true });
    const drawn = drawWeights(method, context, 31);
    const open = new NDArray('f32', [H * d], new Float32Array(H * d).fill(100));
    const eye = new NDArray(
      'f32',
      [H * d, D],
      Float32Array.from({ length: H * d * D }, (_, n) => (Math.floor(n / D) === n % D ? 1 : 0)),
    );
    const weights = { ...drawn, 'lambda_proj.bias': open, 'o_proj.weight': eye };
    const got = (await runLayer(method, context, weights, x, { position: null })).toNested() as number[][][];
    sequences.forEach((tokens, b) => {
      const v = project(weights, 'v_proj', tokens, Hk, 'v_proj.bias');
      // the first two query heads, which the output shows, share the first value head
      for (let c = 0; c < d; c++) {
        const largest = Math.max(...headOf(v, 0).map((row) => row[c] as number));
        for (const h of [0, 1]) expect(got[b]?.[T - 1]?.[h * d + c]).toBeCloseTo(largest, 1);
      }
    });
  });
});

describe('diff-qkv in loops', () => {
  const loops =
    (keyHeads: number, valueHeads: number, augmented: boolean, late: boolean) =>
    (w: Weights, tokens: Rows): Rows => {
      const q = tokens.map((row) => {
        const plain = times(row, rows(w, 'q_proj.weight'));
        if (!augmented) return plain;
        const up = times(plain, rows(w, 'q_up_proj.weight'));
        const gate = times(plain, rows(w, 'q_gate_proj.weight'));
        return times(
          gate.map((g, i) => g * sigmoid(g) * (up[i] as number)),
          rows(w, 'q_down_proj.weight'),
        );
      });
      const small = project(w, 'k_proj', tokens, keyHeads);
      const k = late ? small.map((heads) => heads.map((key) => times(key, rows(w, 'k_up_proj.weight')))) : small;
      const v = project(w, 'v_proj', tokens, valueHeads);
      return tokens.map((_, t) =>
        outMap(
          w,
          Array.from({ length: H }, (_, h) => {
            const p = causalWeights(t, (s) => d ** -0.5 * dot(part(q[t] ?? [], h, d), k[s]?.[Math.floor((h * keyHeads) / H)] ?? []));
            return average(p, headOf(v, Math.floor((h * valueHeads) / H)));
          }),
        ),
      );
    };

  it.each([
    ['one key head, four value heads', { num_key_heads: 1, num_value_heads: 4, q_augment_ratio: 0 }, [1, 4, false, false]],
    ['two key heads, one value head', { num_key_heads: 2, num_value_heads: 1, q_augment_ratio: 0 }, [2, 1, false, false]],
    ['augmented queries', { num_key_heads: 1, num_value_heads: 2, q_augment_ratio: 1.5 }, [1, 2, true, false]],
    ['small keys', { num_key_heads: 2, num_value_heads: 4, q_augment_ratio: 0.5, key_head_dim: 2 }, [2, 4, true, true]],
  ] as const)('is what the method computes: %s', async (_, settings, sizes) => {
    await compareWith('diff-qkv', settings, loops(...(sizes as [number, number, boolean, boolean])));
  });

  it("takes Sigma's proportions by default and keeps less in the cache", () => {
    const method = attentions['diff-qkv'] as AttentionMethod;
    const context = contextOf(method, {}, { hidden_size: 2048, num_attention_heads: 32, num_key_value_heads: 32, head_dim: 64 });
    expect(method.cacheShape(context)).toEqual({ keys: [4, 64], values: [16, 64] });
    const small = contextOf(method, { key_head_dim: 3 }, {});
    expect(method.cacheShape(small).keys[1]).toBe(3);
  });
});

describe('sas in loops', () => {
  const [factor, kernel, compact, simulated] = [3, 3, 4, 8];
  /** Convolution of heads [heads][feature] along the features, zeros outside. */
  function conv(w: Weights, name: string, heads: Rows): Rows {
    const [weight, bias] = [rows(w, `${name}.weight`), vector(w, `${name}.bias`)];
    const [size, channels] = [(heads[0] as number[]).length, heads.length];
    work.products += kernel * channels * bias.length * size;
    return bias.map((start, to) =>
      Array.from({ length: size }, (_, i) => {
        let s = start;
        for (let tap = 0; tap < kernel; tap++)
          for (let from = 0; from < channels; from++)
            s += (heads[from]?.[i + tap - (kernel - 1) / 2] ?? 0) * (weight[tap * channels + from]?.[to] as number);
        return s;
      }),
    );
  }
  const relu = (a: Rows): Rows => a.map((row) => row.map((v) => Math.max(v, 0)));
  const plus = (a: Rows, b: Rows): Rows => a.map((row, i) => row.map((v, j) => v + (b[i]?.[j] as number)));
  const simulate = (w: Weights, which: string, heads: Rows): Rows => {
    const more = conv(w, `${which}_heads_proj`, heads);
    const mixed = plus(more, conv(w, `${which}_heads_residual_proj`, relu(more)));
    if (which === 'v') return mixed;
    const map = (name: string, a: Rows): Rows =>
      a.map((row) => times(row, rows(w, `${which}_features${name}.weight`), vector(w, `${which}_features${name}.bias`)));
    const wide = map('_proj', mixed);
    return plus(wide, map('_residual_proj', relu(wide)));
  };
  const loops = (w: Weights, tokens: Rows): Rows => {
    const make = (which: string, heads: number): number[][][] =>
      project(w, `${which}_proj`, tokens, heads).map((h) => simulate(w, which, h));
    const [q, k, v] = [make('q', H), make('k', Hk), make('v', Hk)];
    return tokens.map((_, t) => {
      const out = Array.from({ length: factor * H }, (_, h) => {
        const shared = Math.floor((h * Hk) / H);
        return average(
          causalWeights(t, (s) => dot(q[t]?.[h] ?? [], k[s]?.[shared] ?? []) / Math.sqrt(simulated)),
          headOf(v, shared),
        );
      });
      // every group of H heads through the same output map, then the mean over the groups
      const groups = Array.from({ length: factor }, (_, g) => outMap(w, out.slice(g * H, (g + 1) * H)));
      return (groups[0] as number[]).map((_, i) => groups.reduce((s, y) => s + (y[i] as number), 0) / factor);
    });
  };
  const settings = { head_factor: factor, kernel_size: kernel, compact_ratio: compact / d, feature_factor: simulated / d };

  it('is what the method computes, and costs the multiplications that the method states', async () => {
    work.products = 0;
    const weights = await compareWith('sas', settings, loops);
    const method = attentions.sas as AttentionMethod;
    const context = contextOf(method, settings);
    const matrices = treeEntries(method.specs(context) as Tree<ParamSpec>).filter(([, { shape }]) => shape.length === 2);
    const parameters = matrices.reduce((n, [, { shape }]) => n + (shape[0] as number) * (shape[1] as number), 0);
    expect(Object.keys(weights).length).toBe(4 + 2 * (3 * 2 + 2 * 2));
    // the loops send every group through the output map, the method only the groups' mean
    const perToken = work.products / (B * T) - (factor - 1) * H * d * D;
    const scored = 2 * T * factor * H * (simulated + d);
    expect(method.flopsPerToken(context, T)).toBe(2 * (perToken - parameters) + scored);
  });
});
