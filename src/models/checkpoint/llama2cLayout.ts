import { VitroError } from '../../tensor/errors.js';

/** Sizes as llama2.c's header lists them. */
export interface Llama2cSizes {
  readonly dim: number;
  readonly hidden_dim: number;
  readonly n_layers: number;
  readonly n_heads: number;
  readonly n_kv_heads: number;
  readonly vocab_size: number;
  readonly seq_len: number;
  /** the head is the embedding */
  readonly shared: boolean;
}

/** A tensor of the file; `heads` is set where its rows stand in interleaved rotary order. A name of undefined is a table that models compute. */
export interface Llama2cEntry {
  readonly name: string | undefined;
  readonly shape: readonly number[];
  readonly heads?: number;
}

/** Complains about sizes that make no model; undefined where they do. */
export function sizesComplaint(s: Llama2cSizes): string | undefined {
  for (const [key, value] of Object.entries(s))
    if (typeof value === 'number' && (!Number.isInteger(value) || value < 1 || value > 2 ** 26)) return `${key} is ${value}`;
  if (s.n_layers > 4096) return `n_layers is ${s.n_layers}`;
  if (s.dim % s.n_heads !== 0 || (s.dim / s.n_heads) % 2 !== 0)
    return `dim ${s.dim} does not split into ${s.n_heads} heads of an even size`;
  if (s.n_heads % s.n_kv_heads !== 0) return `${s.n_heads} heads cannot share ${s.n_kv_heads} key-value heads`;
  return undefined;
}

type Entry = (layer: number) => Llama2cEntry;

function modules(s: Llama2cSizes): Readonly<Record<'norm1' | 'norm2' | 'q' | 'k' | 'v' | 'o' | 'gate' | 'down' | 'up', Entry>> {
  const kv = (s.dim / s.n_heads) * s.n_kv_heads;
  const entry =
    (module: string, shape: readonly number[], heads?: number): Entry =>
    (layer) => ({ name: `model.layers.${layer}.${module}.weight`, shape, heads });
  return {
    norm1: entry('input_layernorm', [s.dim]),
    norm2: entry('post_attention_layernorm', [s.dim]),
    q: entry('self_attn.q_proj', [s.dim, s.dim], s.n_heads),
    k: entry('self_attn.k_proj', [kv, s.dim], s.n_kv_heads),
    v: entry('self_attn.v_proj', [kv, s.dim]),
    o: entry('self_attn.o_proj', [s.dim, s.dim]),
    gate: entry('mlp.gate_proj', [s.hidden_dim, s.dim]),
    down: entry('mlp.down_proj', [s.dim, s.hidden_dim]),
    up: entry('mlp.up_proj', [s.hidden_dim, s.dim]),
  };
}

/** Tensors in the order of the file. llama2.c stores each kind for all layers together (export.py: legacy_export, version1_export). */
export function llama2cLayout(s: Llama2cSizes, version: 0 | 1): Llama2cEntry[] {
  const m = modules(s);
  const layers = (make: Entry): Llama2cEntry[] => Array.from({ length: s.n_layers }, (_, layer) => make(layer));
  const embedding = { name: 'model.embed_tokens.weight', shape: [s.vocab_size, s.dim] };
  const norm = { name: 'model.norm.weight', shape: [s.dim] };
  const head = s.shared ? [] : [{ name: 'lm_head.weight', shape: [s.vocab_size, s.dim] }];
  const attention = [m.q, m.k, m.v, m.o].flatMap(layers);
  const feedForward = [m.gate, m.down, m.up].flatMap(layers);
  if (version === 1) return [...layers(m.norm1), ...layers(m.norm2), norm, embedding, ...attention, ...feedForward, ...head];
  const table = { name: undefined, shape: [s.seq_len, s.dim / s.n_heads / 2] };
  return [embedding, ...layers(m.norm1), ...attention, ...layers(m.norm2), ...feedForward, norm, table, table, ...head];
}

/** config.json of such a model. llama2.c fixes the norm's epsilon and the rotary base. */
export const llama2cConfig = (s: Llama2cSizes): Record<string, unknown> => ({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: s.vocab_size,
  hidden_size: s.dim,
  intermediate_size: s.hidden_dim,
  num_hidden_layers: s.n_layers,
  num_attention_heads: s.n_heads,
  num_key_value_heads: s.n_kv_heads,
  max_position_embeddings: s.seq_len,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: s.shared,
  bos_token_id: 1,
  eos_token_id: 2,
});

/** Sizes of a Hugging Face config that llama2.c can run. */
export function llama2cSizesOf(config: Readonly<Record<string, unknown>>): Llama2cSizes {
  const need = (key: string, fallback?: number): number => {
    const value = config[key] ?? fallback;
    if (typeof value !== 'number') throw new VitroError(`llama2.c: config.${key} is ${JSON.stringify(value)}, a number is expected`);
    return value;
  };
  if (config.model_type !== 'llama')
    throw new VitroError(`llama2.c: model_type ${JSON.stringify(config.model_type)} cannot be written, only llama`);
  const fixed: readonly (readonly [string, number])[] = [
    ['rope_theta', 10000],
    ['rms_norm_eps', 1e-5],
    ['head_dim', need('hidden_size') / need('num_attention_heads')],
  ];
  for (const [key, value] of fixed)
    if (need(key, value) !== value) throw new VitroError(`llama2.c: ${key} is fixed at ${value}, the config has ${String(config[key])}`);
  if (config.rope_scaling) throw new VitroError('llama2.c: rope_scaling cannot be written');
  const sizes: Llama2cSizes = {
    dim: need('hidden_size'),
    hidden_dim: need('intermediate_size'),
    n_layers: need('num_hidden_layers'),
    n_heads: need('num_attention_heads'),
    n_kv_heads: need('num_key_value_heads', need('num_attention_heads')),
    vocab_size: need('vocab_size'),
    seq_len: need('max_position_embeddings'),
    shared: config.tie_word_embeddings === true,
  };
  const complaint = sizesComplaint(sizes);
  if (complaint) throw new VitroError(`llama2.c: ${complaint}`);
  return sizes;
}
