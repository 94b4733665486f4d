import { VitroError } from '../../tensor/errors.js';

/** A config.json, parsed. */
export type ConfigJson = Readonly<Record<string, unknown>>;

/** Keys of config.json that say nothing about what the model computes. */
const bookkeeping = new Set([
  ...['model_type', 'architectures', 'transformers_version', 'torch_dtype', 'dtype', '_name_or_path', 'name_or_path', 'auto_map'],
  ...['bos_token_id', 'eos_token_id', 'pad_token_id', 'sep_token_id', 'decoder_start_token_id', 'use_cache', 'return_dict'],
  ...['initializer_range', 'attention_dropout', 'hidden_dropout', 'classifier_dropout', 'resid_pdrop', 'embd_pdrop', 'attn_pdrop'],
  ...['output_attentions', 'output_hidden_states', 'output_router_logits', 'router_aux_loss_coef', 'pretraining_tp', 'is_decoder'],
  ...['task_specific_params', 'id2label', 'label2id', 'num_labels', 'problem_type', 'chunk_size_feed_forward', '_attn_implementation'],
  ...['summary_type', 'summary_use_proj', 'summary_activation', 'summary_first_dropout', 'summary_proj_to_labels', 'cache_implementation'],
  ...['reorder_and_upcast_attn', 'n_ctx', 'finetuning_task', '_attn_implementation_autoset', 'unsloth_fixed', '_sliding_window_pattern'],
]);

/** Keys that change what a model computes in ways that no family here does, and the values at which they do not. */
const refused: Readonly<Record<string, (value: unknown) => boolean>> = {
  quantization_config: (v) => v === null,
  compression_config: (v) => v === null,
  vision_config: (v) => v === null,
  audio_config: (v) => v === null,
  is_encoder_decoder: (v) => v === false,
  add_cross_attention: (v) => v === false,
  use_bidirectional_attention: (v) => v === false || v === null,
  scale_attn_by_inverse_layer_idx: (v) => v === false,
  attention_sinks: (v) => !v,
  use_attention_sinks: (v) => !v,
  attention_chunk_size: (v) => v === null,
  attn_temperature_tuning: (v) => !v,
  clip_qkv: (v) => v === null,
  qk_layernorm: (v) => !v,
  rope_interleaved: (v) => !v,
  embedding_multiplier: (v) => v === 1,
  residual_multiplier: (v) => v === 1,
  attention_multiplier: (v) => v === null,
  logits_scaling: (v) => v === 1,
  num_nextn_predict_layers: (v) => !v,
};

const shown = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 80);

/** Reads the keys of a config.json with checks of their types, and remembers which were read. */
export class ConfigReader {
  readonly #read = new Set<string>();

  constructor(
    readonly json: ConfigJson,
    /** for messages, e.g. the family's name */
    readonly what: string,
  ) {}

  fail(detail: string): VitroError {
    return new VitroError(`config.json of ${this.what}: ${detail}`);
  }

  /** The value as it is; null counts as absent. */
  value(key: string): unknown {
    this.#read.add(key);
    return this.json[key] ?? undefined;
  }

  /** Says that a key is known and does not matter in this family. */
  skip(...keys: readonly string[]): void {
    for (const key of keys) this.#read.add(key);
  }

  number(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (value === undefined) throw this.fail(`"${key}" is missing`);
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.fail(`"${key}" must be a number, got ${shown(value)}`);
    return value;
  }

  /** A whole number from 1 to `most`. */
  count(key: string, fallback?: number, most = 2 ** 31): number {
    const value = this.number(key, fallback);
    if (!(Number.isInteger(value) && value >= 1 && value <= most))
      throw this.fail(`"${key}" must be a whole number from 1 to ${most}, got ${value}`);
    return value;
  }

  /** num_hidden_layers, or what the family calls it. */
  layers(key = 'num_hidden_layers', fallback?: number): number {
    return this.count(key, fallback, 10_000);
  }

  /** A number, or undefined where the key is absent or null. */
  optionalNumber(key: string): number | undefined {
    return this.value(key) === undefined ? undefined : this.number(key);
  }

  /** As `number`, but a key that is null keeps null; absent takes the fallback. */
  nullableNumber(key: string, fallback: number | null): number | null {
    this.#read.add(key);
    if (this.json[key] === null) return null;
    return this.json[key] === undefined ? fallback : this.number(key);
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.fail(`"${key}" must be true or false, got ${shown(value)}`);
    return value;
  }

  string(key: string, fallback: string): string {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'string') throw this.fail(`"${key}" must be a string, got ${shown(value)}`);
    return value;
  }

  list(key: string): readonly unknown[] | undefined {
    const value = this.value(key);
    if (value !== undefined && !Array.isArray(value)) throw this.fail(`"${key}" must be a list, got ${shown(value)}`);
    return value as readonly unknown[] | undefined;
  }

  record(key: string, within?: ConfigJson): ConfigJson | undefined {
    const value = within ? (within[key] ?? undefined) : this.value(key);
    if (value !== undefined && (typeof value !== 'object' || Array.isArray(value)))
      throw this.fail(`"${key}" must be an object, got ${shown(value)}`);
    return value as ConfigJson | undefined;
  }

  /** layer_types, one entry a layer, or undefined where the config does not say. */
  layerTypes(layers: number): ('full_attention' | 'sliding_attention')[] | undefined {
    const list = this.list('layer_types');
    if (list && list.length !== layers) throw this.fail(`"layer_types" has ${list.length} entries for ${layers} layers`);
    return list?.map((type) => {
      if (type === 'full_attention' || type === 'sliding_attention') return type;
      throw this.fail(`"layer_types" holds ${shown(type)}; Vitro has full_attention and sliding_attention`);
    });
  }

  /** Throws for features that no family has; returns the keys that nobody read and that may matter. */
  finish(): string[] {
    const open = Object.keys(this.json).filter((key) => !this.#read.has(key) && !bookkeeping.has(key));
    for (const key of open) {
      const harmless = Object.hasOwn(refused, key) ? refused[key] : undefined;
      if (harmless && !harmless(this.json[key]))
        throw this.fail(
          `"${key}": ${shown(this.json[key])} is a feature that Vitro does not have; convert the checkpoint to one without it`,
        );
    }
    return open.filter((key) => !Object.hasOwn(refused, key) && this.json[key] !== null && this.json[key] !== false);
  }
}
