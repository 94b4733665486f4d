import type { DecoderConfig, FullDecoderConfig } from '../decoder/config.js';
import type { ConfigJson, ConfigReader } from './configReader.js';
import type { Layout } from './mapping.js';
import { type RopeFields, ropeFields, ropeJson } from './ropeConfig.js';

/** Defaults of a class of transformers for keys that config.json leaves out. */
export interface ClassDefaults {
  /** absent: as many as query heads */
  readonly num_key_value_heads?: number;
  /** absent: hidden_size / num_attention_heads */
  readonly head_dim?: number;
  readonly rms_norm_eps: number;
  readonly tie_word_embeddings: boolean;
  /** name of the activation's key; default hidden_act */
  readonly activation_key?: string;
  readonly hidden_act?: string;
  /** default: whole heads rotate, at 10000 */
  readonly rope?: (reader: ConfigReader) => RopeFields;
}

/** Fields that all families with Llama's keys share. */
export function commonFields(reader: ConfigReader, defaults: ClassDefaults): DecoderConfig {
  const heads = reader.count('num_attention_heads');
  const head_dim = reader.value('head_dim') === undefined ? defaults.head_dim : reader.count('head_dim');
  return {
    vocab_size: reader.count('vocab_size'),
    hidden_size: reader.count('hidden_size'),
    num_hidden_layers: reader.layers(),
    num_attention_heads: heads,
    num_key_value_heads: reader.count('num_key_value_heads', defaults.num_key_value_heads ?? heads),
    ...(head_dim === undefined ? {} : { head_dim }),
    intermediate_size: reader.count('intermediate_size'),
    hidden_act: reader.string(defaults.activation_key ?? 'hidden_act', defaults.hidden_act ?? 'silu'),
    rms_norm_eps: reader.number('rms_norm_eps', defaults.rms_norm_eps),
    tie_word_embeddings: reader.boolean('tie_word_embeddings', defaults.tie_word_embeddings),
    ...(defaults.rope ?? ropeFields)(reader),
  };
}

/** The same keys of a decoder. */
export const commonJson = (config: FullDecoderConfig, activation_key = 'hidden_act'): ConfigJson => ({
  vocab_size: config.vocab_size,
  hidden_size: config.hidden_size,
  intermediate_size: config.intermediate_size,
  num_hidden_layers: config.num_hidden_layers,
  num_attention_heads: config.num_attention_heads,
  num_key_value_heads: config.num_key_value_heads,
  head_dim: config.head_dim,
  [activation_key]: config.hidden_act,
  rms_norm_eps: config.rms_norm_eps,
  tie_word_embeddings: config.tie_word_embeddings,
  ...ropeJson(config),
});

/** Biases of all four projections of attention, as "attention_bias" says. */
export function attentionBiases(reader: ConfigReader, fallback = false): Pick<DecoderConfig, 'attention_bias' | 'attention_out_bias'> {
  const attention_bias = reader.boolean('attention_bias', fallback);
  return { attention_bias, attention_out_bias: attention_bias };
}

/** Windows of the layers. A window that spans the context is none, and attention over everything runs faster. */
export function windowFields(
  config: DecoderConfig,
  sliding_window: number | null,
  layer_types: readonly ('full_attention' | 'sliding_attention')[],
): Pick<DecoderConfig, 'layer_types' | 'sliding_window'> {
  const matters = sliding_window !== null && sliding_window < config.max_position_embeddings && layer_types.includes('sliding_attention');
  return matters || (sliding_window === null && layer_types.includes('sliding_attention'))
    ? { layer_types, sliding_window }
    : { layer_types: layer_types.map(() => 'full_attention' as const), sliding_window: null };
}

/** One type of attention for all layers. */
export const everyLayer = <T extends string>(layers: number, type: T): T[] => Array.from({ length: layers }, () => type);

/** Windows as of Mistral and Phi-3: all layers have the window, if there is one. */
export const uniformWindow = (config: DecoderConfig, window: number | null): Pick<DecoderConfig, 'layer_types' | 'sliding_window'> =>
  windowFields(config, window, everyLayer(config.num_hidden_layers, window === null ? 'full_attention' : 'sliding_attention'));

/** Windows as of Qwen: off by default, else as layer_types says, else for the layers from max_window_layers on. */
export function qwenWindows(reader: ConfigReader, config: DecoderConfig): Pick<DecoderConfig, 'layer_types' | 'sliding_window'> {
  const given = reader.nullableNumber('sliding_window', 4096);
  const window = reader.boolean('use_sliding_window', false) ? given : null;
  const first = reader.number('max_window_layers', 28);
  const types =
    reader.layerTypes(config.num_hidden_layers) ??
    everyLayer(config.num_hidden_layers, 'full_attention' as 'full_attention' | 'sliding_attention').map((type, i) =>
      window !== null && i >= first ? 'sliding_attention' : type,
    );
  return windowFields(config, window, types);
}

export const qwenWindowsJson = ({ layer_types, sliding_window, num_hidden_layers }: FullDecoderConfig): ConfigJson => ({
  use_sliding_window: sliding_window !== null,
  sliding_window,
  max_window_layers: num_hidden_layers,
  layer_types,
});

/** Llama's names, which are ours under `model.`. */
export const llamaLayout: Layout = { prefix: 'model.', ignores: [/rotary_emb\.inv_freq$/] };
