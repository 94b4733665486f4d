import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';

/**
 * A decoder-only transformer, in the names of config.json. What checkpoints of the field vary is a field here; everything absent is as in Llama:
 * RMS norms before each half of a block, rotary positions, a gated feed-forward, a tied head.
 */
export interface DecoderConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  /** default: num_attention_heads */
  readonly num_key_value_heads?: number;
  /** default: hidden_size / num_attention_heads */
  readonly head_dim?: number;
  readonly intermediate_size: number;
  /** context length; a multiple of 128 runs fastest */
  readonly max_position_embeddings: number;
  /** default silu */
  readonly hidden_act?: string;
  /** feed-forward with a gate; default true */
  readonly mlp_gated?: boolean;
  readonly mlp_bias?: boolean;
  /** default rms */
  readonly norm_type?: 'rms' | 'layer';
  /** default 1e-5 */
  readonly rms_norm_eps?: number;
  /** added to stored gains; 1 in Gemma. Default 0 */
  readonly norm_offset?: number;
  /** before each half of a block (pre), after it (post, OLMo 2), or both (sandwich, Gemma). Default pre */
  readonly norm_placement?: 'pre' | 'post' | 'sandwich';
  /** attention and feed-forward both read the block's input (GPT-NeoX) */
  readonly parallel_residual?: boolean;
  /** biases of q, k and v; default false */
  readonly attention_bias?: boolean;
  /** bias of the output projection; default false */
  readonly attention_out_bias?: boolean;
  /** norms of queries and keys: for each head (Qwen3, Gemma 3) or over all heads (OLMo 2). Default none */
  readonly qk_norm?: 'none' | 'head' | 'all';
  /** scores are multiplied by this to the power -1/2; default head_dim */
  readonly query_pre_attn_scalar?: number;
  readonly attn_logit_softcapping?: number | null;
  readonly final_logit_softcapping?: number | null;
  /** method of the slot attention; default softmax */
  readonly attention_method?: string;
  readonly attention_settings?: Settings;
  /** method of the slot position; default rope */
  readonly position_method?: string;
  /** settings of the position method, e.g. rope_theta */
  readonly position_settings?: Settings;
  /** settings that replace position_settings in layers of sliding attention (Gemma 3) */
  readonly local_position_settings?: Settings;
  /** default 10000 */
  readonly rope_theta?: number;
  /** one entry a layer; default full_attention */
  readonly layer_types?: readonly ('full_attention' | 'sliding_attention')[];
  /** one entry a layer, false where queries and keys get no positions (SmolLM3); default: all true */
  readonly position_layers?: readonly boolean[];
  /** keys that a layer of sliding attention sees */
  readonly sliding_window?: number | null;
  /** factor of the embeddings; sqrt(hidden_size) in Gemma. Default 1 */
  readonly embedding_scale?: number;
  /** default true */
  readonly tie_word_embeddings?: boolean;
  /** experts of the layers that have them; default 0 */
  readonly num_experts?: number;
  readonly moe_intermediate_size?: number;
  /** one entry a layer, true where its feed-forward is a mixture; default: all layers if there are experts */
  readonly moe_layers?: readonly boolean[];
  /** method of the slot router; default top-k */
  readonly router_method?: string;
  readonly router_settings?: Settings;
  /** width of the embedding that every layer has of its own (Gemma 3n); 0, the default, is none */
  readonly hidden_size_per_layer_input?: number;
  /** activation of the gate that lets it in; default gelu */
  readonly per_layer_input_act?: string;
}

/** The config with every default filled in. */
export type FullDecoderConfig = { readonly [K in keyof DecoderConfig]-?: Exclude<DecoderConfig[K], undefined> };

type RequiredKeys = {
  [K in keyof DecoderConfig]-?: undefined extends DecoderConfig[K] ? never : K;
}[keyof DecoderConfig];

function positive(config: DecoderConfig, keys: readonly (keyof DecoderConfig)[]): void {
  for (const key of keys) {
    const value = config[key];
    if (!(typeof value === 'number' && Number.isInteger(value) && value > 0))
      throw new VitroError(`decoder: ${key} must be a positive whole number, got ${String(value)}`);
  }
}

/**
 * Fills in the defaults and checks what must fit together.
 *
 * @throws VitroError that names the value
 */
export function completeConfig(config: DecoderConfig): FullDecoderConfig {
  positive(config, [
    'vocab_size',
    'hidden_size',
    'num_hidden_layers',
    'num_attention_heads',
    'intermediate_size',
    'max_position_embeddings',
  ]);
  const { hidden_size, num_attention_heads, num_hidden_layers } = config;
  if (config.head_dim === undefined && hidden_size % num_attention_heads !== 0)
    throw new VitroError(
      `decoder: hidden_size ${hidden_size} does not split into num_attention_heads ${num_attention_heads} heads; give head_dim`,
    );
  const head_dim = config.head_dim ?? hidden_size / num_attention_heads;
  const num_key_value_heads = config.num_key_value_heads ?? num_attention_heads;
  if (num_attention_heads % num_key_value_heads !== 0)
    throw new VitroError(
      `decoder: num_attention_heads ${num_attention_heads} must be a multiple of num_key_value_heads ${num_key_value_heads}`,
    );
  const num_experts = config.num_experts ?? 0;
  const perLayer = (key: 'layer_types' | 'moe_layers' | 'position_layers'): void => {
    const list = config[key];
    if (list && list.length !== num_hidden_layers)
      throw new VitroError(`decoder: ${key} has ${list.length} entries for ${num_hidden_layers} layers`);
  };
  perLayer('layer_types');
  perLayer('moe_layers');
  if (!(Number.isInteger(head_dim) && head_dim > 0))
    throw new VitroError(`decoder: head_dim must be a positive whole number, got ${head_dim}`);
  if (config.rms_norm_eps !== undefined && !(config.rms_norm_eps > 0))
    throw new VitroError(`decoder: rms_norm_eps must be positive, got ${config.rms_norm_eps}`);
  perLayer('position_layers');
  const unknown = config.layer_types?.find((type) => type !== 'full_attention' && type !== 'sliding_attention');
  if (unknown !== undefined)
    throw new VitroError(`decoder: layer_types holds "${unknown}"; there are full_attention and sliding_attention`);
  if (config.layer_types?.includes('sliding_attention') && !(Number.isInteger(config.sliding_window) && Number(config.sliding_window) > 0))
    throw new VitroError(`decoder: layer_types has sliding_attention, but sliding_window is ${String(config.sliding_window)}`);
  if (config.moe_layers?.includes(true) && num_experts === 0)
    throw new VitroError('decoder: moe_layers names mixtures of experts, but num_experts is 0');
  const defaults: Omit<FullDecoderConfig, RequiredKeys> = {
    hidden_act: 'silu',
    mlp_gated: true,
    mlp_bias: false,
    norm_type: 'rms',
    rms_norm_eps: 1e-5,
    norm_offset: 0,
    norm_placement: 'pre',
    parallel_residual: false,
    attention_bias: false,
    attention_out_bias: false,
    qk_norm: 'none',
    query_pre_attn_scalar: head_dim,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
    attention_method: 'softmax',
    attention_settings: {},
    position_method: 'rope',
    position_settings: {},
    local_position_settings: {},
    rope_theta: 10000,
    layer_types: Array.from({ length: num_hidden_layers }, () => 'full_attention' as const),
    position_layers: Array.from({ length: num_hidden_layers }, () => true),
    sliding_window: null,
    embedding_scale: 1,
    tie_word_embeddings: true,
    num_experts,
    moe_intermediate_size: config.intermediate_size,
    moe_layers: Array.from({ length: num_hidden_layers }, () => num_experts > 0),
    router_method: 'top-k',
    router_settings: {},
    hidden_size_per_layer_input: 0,
    per_layer_input_act: 'gelu',
    num_key_value_heads,
    head_dim,
  };
  const given = Object.fromEntries(Object.entries(config).filter(([, v]) => v !== undefined)) as DecoderConfig;
  return { ...defaults, ...given } as FullDecoderConfig;
}
