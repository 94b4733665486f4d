import type { NDArray } from '../../../src/tensor/index.js';

export interface LlamaConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly max_position_embeddings: number;
}

/** Weights by Hugging Face's names, [out, in]. */
export type Weights = ReadonlyMap<string, NDArray>;

/**
 * Logits of every position by plain loops in float64. `interleaved` rotates the pairs (2j, 2j+1) instead of (j, j + d/2); `divisors` divide
 * the rotary frequencies.
 */
export function scalarLlama(
  config: LlamaConfig,
  weights: Weights,
  ids: readonly number[],
  options: { readonly interleaved?: boolean; readonly divisors?: ArrayLike<number> } = {},
): number[][] {
  const { hidden_size: D, num_attention_heads: H, num_key_value_heads: KV, rms_norm_eps: eps, rope_theta: theta } = config;
  const d = D / H;
  const get = (name: string): ArrayLike<number> => {
    const found = weights.get(name);
    if (!found) throw new Error(`no weight ${name}`);
    return found.data as Float32Array;
  };
  const matvec = (name: string, x: readonly number[]): number[] => {
    const w = get(name);
    return Array.from({ length: w.length / x.length }, (_, o) => x.reduce((sum, v, i) => sum + v * Number(w[o * x.length + i]), 0));
  };
  const norm = (name: string, x: readonly number[]): number[] => {
    const scale = 1 / Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length + eps);
    const w = get(name);
    return x.map((v, i) => v * scale * Number(w[i]));
  };
  const rotate = (x: number[], position: number): number[] => {
    const out = [...x];
    for (let head = 0; head < x.length / d; head++)
      for (let j = 0; j < d / 2; j++) {
        const a = head * d + (options.interleaved ? 2 * j : j);
        const b = head * d + (options.interleaved ? 2 * j + 1 : j + d / 2);
        const angle = (position * theta ** (-(2 * j) / d)) / Number(options.divisors?.[j] ?? 1);
        out[a] = Number(x[a]) * Math.cos(angle) - Number(x[b]) * Math.sin(angle);
        out[b] = Number(x[b]) * Math.cos(angle) + Number(x[a]) * Math.sin(angle);
      }
    return out;
  };
  const add = (a: readonly number[], b: readonly number[]): number[] => a.map((v, i) => v + Number(b[i]));
  const cache = Array.from({ length: config.num_hidden_layers }, () => ({ k: [] as number[][], v: [] as number[][] }));
  const head = weights.has('lm_head.weight') ? 'lm_head.weight' : 'model.embed_tokens.weight';
  return ids.map((id, position) => {
    let x = Array.from({ length: D }, (_, i) => Number(get('model.embed_tokens.weight')[id * D + i]));
    cache.forEach((kept, n) => {
      const layer = (name: string): string => `model.layers.${n}.${name}.weight`;
      const h = norm(layer('input_layernorm'), x);
      const q = rotate(matvec(layer('self_attn.q_proj'), h), position);
      kept.k.push(rotate(matvec(layer('self_attn.k_proj'), h), position));
      kept.v.push(matvec(layer('self_attn.v_proj'), h));
      const mixed = new Array<number>(D).fill(0);
      for (let i = 0; i < H; i++) {
        const group = Math.floor(i / (H / KV)) * d;
        const scores = kept.k.map((k) => {
          let dot = 0;
          for (let j = 0; j < d; j++) dot += Number(q[i * d + j]) * Number(k[group + j]);
          return dot / Math.sqrt(d);
        });
        const top = Math.max(...scores);
        const e = scores.map((s) => Math.exp(s - top));
        const total = e.reduce((a, b) => a + b, 0);
        kept.v.forEach((v, t) => {
          for (let j = 0; j < d; j++) mixed[i * d + j] = Number(mixed[i * d + j]) + (Number(e[t]) / total) * Number(v[group + j]);
        });
      }
      x = add(x, matvec(layer('self_attn.o_proj'), mixed));
      const h2 = norm(layer('post_attention_layernorm'), x);
      const gate = matvec(layer('mlp.gate_proj'), h2);
      const up = matvec(layer('mlp.up_proj'), h2);
      x = add(
        x,
        matvec(
          layer('mlp.down_proj'),
          gate.map((g, i) => (g / (1 + Math.exp(-g))) * Number(up[i])),
        ),
      );
    });
    return matvec(head, norm('model.norm.weight', x));
  });
}

export const argmax = (xs: readonly number[]): number => xs.indexOf(Math.max(...xs));
