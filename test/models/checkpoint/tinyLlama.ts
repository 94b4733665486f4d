import type { GgufField } from '../../../src/models/checkpoint/ggufTypes.js';
import { NDArray } from '../../../src/tensor/index.js';

const pieces = ['▁', 'a', 'b', 'c', '▁a', 'ab', 'bc', '▁ab', 'abc', '▁abc', 'cab', '▁cab', 'd'];

/** A SentencePiece vocabulary in GGUF's form: three special tokens, the 256 bytes, a few pieces. */
export const vocabularySize = 3 + 256 + pieces.length;

export function spmVocabulary(): Record<string, GgufField> {
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...pieces];
  return {
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: tokens },
    'tokenizer.ggml.scores': { type: 'array', of: 'f32', value: tokens.map((t, i) => (i < 259 ? 0 : t.length * 10 - i)) },
    // 2 unknown, 3 control, 6 byte, 1 normal
    'tokenizer.ggml.token_type': { type: 'array', of: 'i32', value: tokens.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1)) },
    'tokenizer.ggml.bos_token_id': { type: 'u32', value: 1 },
    'tokenizer.ggml.eos_token_id': { type: 'u32', value: 2 },
    'tokenizer.ggml.unknown_token_id': { type: 'u32', value: 0 },
  };
}

export const tinyConfig = {
  model_type: 'llama',
  vocab_size: vocabularySize,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  rope_theta: 500,
  max_position_embeddings: 256,
  tie_word_embeddings: false,
};

/** Random weights of a model, by Hugging Face's names; matrices [out, in] unless `turned`. */
export function randomWeights(config: typeof tinyConfig, turned = false): Map<string, NDArray> {
  const { hidden_size: D, intermediate_size: F, vocab_size: V, num_key_value_heads: KV, num_attention_heads: H } = config;
  const kv = (D / H) * KV;
  let x = 4711;
  const random = (scale: number, shift: number, ...shape: number[]): NDArray => {
    const [rows = 0, cols = 1] = shape;
    const data = new Float32Array(rows * cols);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < cols; c++) {
        x = (Math.imul(1664525, x) + 1013904223) | 0;
        data[turned && shape.length === 2 ? c * rows + r : r * cols + c] = (x / 2 ** 31) * scale + shift;
      }
    return new NDArray('f32', turned ? [...shape].reverse() : shape, data);
  };
  const matrix = (out: number, into: number): NDArray => random(2 / Math.sqrt(into), 0, out, into);
  const gain = (): NDArray => random(0.3, 1, D);
  const weights = new Map<string, NDArray>([['model.embed_tokens.weight', random(1, 0, V, D)]]);
  for (let n = 0; n < config.num_hidden_layers; n++) {
    const put = (name: string, tensor: NDArray) => weights.set(`model.layers.${n}.${name}.weight`, tensor);
    put('input_layernorm', gain());
    put('self_attn.q_proj', matrix(D, D));
    put('self_attn.k_proj', matrix(kv, D));
    put('self_attn.v_proj', matrix(kv, D));
    put('self_attn.o_proj', matrix(D, D));
    put('post_attention_layernorm', gain());
    put('mlp.gate_proj', matrix(F, D));
    put('mlp.up_proj', matrix(F, D));
    put('mlp.down_proj', matrix(D, F));
  }
  weights.set('model.norm.weight', gain());
  if (!config.tie_word_embeddings) weights.set('lm_head.weight', matrix(V, D));
  return weights;
}

/** The same weights as another family's checkpoint has them: further norms and biases, or fused projections. */
export function familyWeights(config: typeof tinyConfig): Map<string, NDArray> {
  const weights = randomWeights(config);
  const { hidden_size: D, num_attention_heads: H, num_key_value_heads: KV } = config;
  const d = D / H;
  const vector = (n: number): NDArray =>
    new NDArray(
      'f32',
      [n],
      Float32Array.from({ length: n }, (_, i) => Math.sin(i)),
    );
  const fuse = (into: string, ...parts: string[]): void => {
    const data = parts.flatMap((p) => Array.from(weights.get(p)?.data as Float32Array));
    for (const p of parts) weights.delete(p);
    weights.set(into, new NDArray('f32', [data.length / D, D], Float32Array.from(data)));
  };
  for (let n = 0; n < config.num_hidden_layers; n++) {
    const layer = (name: string): string => `model.layers.${n}.${name}`;
    if (config.model_type === 'qwen2') {
      weights.set(layer('self_attn.q_proj.bias'), vector(D));
      weights.set(layer('self_attn.k_proj.bias'), vector(d * KV));
      weights.set(layer('self_attn.v_proj.bias'), vector(d * KV));
    } else if (config.model_type === 'qwen3') {
      weights.set(layer('self_attn.q_norm.weight'), vector(d));
      weights.set(layer('self_attn.k_norm.weight'), vector(d));
    } else if (config.model_type === 'gemma2') {
      weights.set(layer('pre_feedforward_layernorm.weight'), vector(D));
      weights.set(layer('post_feedforward_layernorm.weight'), vector(D));
    } else if (config.model_type === 'phi3') {
      fuse(layer('self_attn.qkv_proj.weight'), ...['q', 'k', 'v'].map((p) => layer(`self_attn.${p}_proj.weight`)));
      fuse(layer('mlp.gate_up_proj.weight'), ...['gate', 'up'].map((p) => layer(`mlp.${p}_proj.weight`)));
    }
  }
  return weights;
}
