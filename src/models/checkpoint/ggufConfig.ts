import { VitroError } from '../../tensor/errors.js';
import { architectureOf, type GgufArchitecture, ggufArchitectures } from './ggufNames.js';
import type { GgufField } from './ggufTypes.js';

type Config = Readonly<Record<string, unknown>>;

function numberOf(config: Config, key: string): number | undefined {
  const value = config[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new VitroError(`config: ${key} is ${JSON.stringify(value)}, a number is expected`);
  return value;
}

function need(config: Config, key: string): number {
  const value = numberOf(config, key);
  if (value === undefined) throw new VitroError(`config: ${key} is missing`);
  return value;
}

/** Heads and sizes that a config states or implies. */
export function headsOf(config: Config): { heads: number; kvHeads: number; headDim: number } {
  const heads = need(config, 'num_attention_heads');
  return {
    heads,
    kvHeads: numberOf(config, 'num_key_value_heads') ?? heads,
    headDim: numberOf(config, 'head_dim') ?? need(config, 'hidden_size') / heads,
  };
}

export function ggufArchitectureOf(config: Config): GgufArchitecture {
  const found = architectureOf(config.model_type);
  if (!found)
    throw new VitroError(
      `GGUF: model_type ${JSON.stringify(config.model_type)} has no mapping; there are mistral, ${ggufArchitectures.join(', ')}`,
    );
  return found;
}

/** rope_scaling of a config, in its old and its new spelling; undefined where positions are not scaled. */
export function ropeScalingOf(config: Config): { readonly type: string; readonly settings: Config } | undefined {
  const settings = (config.rope_scaling ?? config.rope_parameters) as Config | null | undefined;
  const type = settings?.rope_type ?? settings?.type ?? 'default';
  return settings && type !== 'default' ? { type: String(type), settings } : undefined;
}

export const ropeThetaOf = (config: Config): number =>
  numberOf(config, 'rope_theta') ?? numberOf((config.rope_parameters ?? {}) as Config, 'rope_theta') ?? 10000;

const u32 = (value: number): GgufField => ({ type: 'u32', value });
const f32 = (value: number): GgufField => ({ type: 'f32', value });

function ropeScalingFields(prefix: string, config: Config): Record<string, GgufField> {
  const scaling = ropeScalingOf(config);
  // llama3 is stored as a tensor of divisors
  if (!scaling || scaling.type === 'llama3') return {};
  const { type, settings } = scaling;
  if (type !== 'linear' && type !== 'yarn')
    throw new VitroError(`GGUF: rope_scaling of type "${type}" has no GGUF form here; there are linear, yarn and llama3`);
  const fields: Record<string, GgufField> = {
    [`${prefix}.rope.scaling.type`]: { type: 'string', value: type },
    [`${prefix}.rope.scaling.factor`]: f32(need(settings, 'factor')),
  };
  const original = numberOf(settings, 'original_max_position_embeddings');
  if (original !== undefined) fields[`${prefix}.rope.scaling.original_context_length`] = u32(original);
  return fields;
}

/** GGUF metadata of a Hugging Face config: general.architecture and the architecture's own keys. */
export function ggufFieldsOf(config: Config): Record<string, GgufField> {
  const architecture = ggufArchitectureOf(config);
  const { heads, kvHeads, headDim } = headsOf(config);
  const key = (name: string): string => `${architecture}.${name}`;
  const fields: Record<string, GgufField> = {
    'general.architecture': { type: 'string', value: architecture },
    [key('vocab_size')]: u32(need(config, 'vocab_size')),
    [key('context_length')]: u32(need(config, 'max_position_embeddings')),
    [key('embedding_length')]: u32(need(config, 'hidden_size')),
    [key('block_count')]: u32(need(config, 'num_hidden_layers')),
    [key('feed_forward_length')]: u32(need(config, 'intermediate_size')),
    [key('attention.head_count')]: u32(heads),
    [key('attention.head_count_kv')]: u32(kvHeads),
    [key('attention.key_length')]: u32(headDim),
    [key('attention.value_length')]: u32(headDim),
    [key('attention.layer_norm_rms_epsilon')]: f32(need(config, 'rms_norm_eps')),
    [key('rope.dimension_count')]: u32(Math.floor(headDim * (numberOf(config, 'partial_rotary_factor') ?? 1))),
    [key('rope.freq_base')]: f32(ropeThetaOf(config)),
    ...ropeScalingFields(architecture, config),
  };
  const optional = (name: string, from: string, make: (value: number) => GgufField): void => {
    const value = numberOf(config, from);
    if (value !== undefined) fields[key(name)] = make(value);
  };
  optional('attn_logit_softcapping', 'attn_logit_softcapping', f32);
  optional('final_logit_softcapping', 'final_logit_softcapping', f32);
  if (config.use_sliding_window !== false) optional('attention.sliding_window', 'sliding_window', u32);
  return fields;
}

const className: Readonly<Record<GgufArchitecture, string>> = {
  llama: 'Llama',
  qwen2: 'Qwen2',
  qwen3: 'Qwen3',
  gemma2: 'Gemma2',
  phi3: 'Phi3',
};

/** Hugging Face config of GGUF metadata. `tied` says that the file has no output matrix, `biased` that its attention projections have biases. */
export function configOfGguf(
  metadata: Config,
  { tied, biased }: { readonly tied: boolean; readonly biased: boolean },
): Record<string, unknown> {
  const architecture = ggufArchitectures.find((a) => a === metadata['general.architecture']);
  if (!architecture)
    throw new VitroError(
      `GGUF: the architecture ${JSON.stringify(metadata['general.architecture'])} has no mapping; there are ${ggufArchitectures.join(', ')}`,
    );
  const of = (name: string): number | undefined => numberOf(metadata, `${architecture}.${name}`);
  const required = (name: string): number => need(metadata, `${architecture}.${name}`);
  const tokens = metadata['tokenizer.ggml.tokens'];
  const heads = required('attention.head_count');
  const headDim = of('attention.key_length') ?? required('embedding_length') / heads;
  const rotary = of('rope.dimension_count');
  const config: Record<string, unknown> = {
    architectures: [`${className[architecture]}ForCausalLM`],
    model_type: architecture,
    vocab_size: of('vocab_size') ?? (Array.isArray(tokens) ? tokens.length : undefined),
    hidden_size: required('embedding_length'),
    num_hidden_layers: required('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: of('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    intermediate_size: required('feed_forward_length'),
    max_position_embeddings: required('context_length'),
    rms_norm_eps: required('attention.layer_norm_rms_epsilon'),
    rope_theta: of('rope.freq_base') ?? 10000,
    tie_word_embeddings: tied,
    attention_bias: biased,
    hidden_act: architecture === 'gemma2' ? 'gelu_pytorch_tanh' : 'silu',
    partial_rotary_factor: rotary !== undefined && rotary !== headDim ? rotary / headDim : undefined,
    sliding_window: of('attention.sliding_window'),
    attn_logit_softcapping: of('attn_logit_softcapping'),
    final_logit_softcapping: of('final_logit_softcapping'),
    query_pre_attn_scalar: architecture === 'gemma2' ? headDim : undefined,
    rope_scaling: scalingOf(metadata, architecture),
    bos_token_id: metadata['tokenizer.ggml.bos_token_id'],
    eos_token_id: metadata['tokenizer.ggml.eos_token_id'],
  };
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

function scalingOf(metadata: Config, architecture: GgufArchitecture): Config | undefined {
  const type = metadata[`${architecture}.rope.scaling.type`];
  if (type === undefined || type === 'none') return undefined;
  const original = metadata[`${architecture}.rope.scaling.original_context_length`];
  return {
    rope_type: type,
    factor: metadata[`${architecture}.rope.scaling.factor`],
    ...(original !== undefined && { original_max_position_embeddings: original }),
  };
}
