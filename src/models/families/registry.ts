import { closest } from 'fastest-levenshtein';
import { ropeFrequencies } from '../../nn/position/frequencies.js';
import { VitroError } from '../../tensor/errors.js';
import { completeConfig, type DecoderConfig } from '../decoder/config.js';
import { decoderParts } from '../decoder/parts.js';
import { type ConfigJson, ConfigReader } from './configReader.js';
import type { Family } from './family.js';
import { gemma2 } from './gemma2.js';
import { gemma3Text } from './gemma3Text.js';
import { gpt2 } from './gpt2.js';
import { gptNeox } from './gptNeox.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { olmo2 } from './olmo2.js';
import { phi3 } from './phi3.js';
import { ple } from './ple.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { qwen3Moe } from './qwen3Moe.js';
import { smollm3 } from './smollm3.js';
import { vitro } from './vitro.js';

const all: readonly Family[] = [
  llama,
  mistral,
  smollm3,
  qwen2,
  qwen3,
  qwen3Moe,
  gemma2,
  gemma3Text,
  phi3,
  gpt2,
  gptNeox,
  olmo2,
  ple,
  vitro,
];

/** Every family by its model_type; the order is that in which a family is looked for when a model is saved. */
export const families: Readonly<Record<string, Family>> = Object.fromEntries(all.map((family) => [family.model_type, family]));

/** The family of a model_type. */
export function familyOf(model_type: unknown): Family {
  if (typeof model_type !== 'string')
    throw new VitroError(`config.json: "model_type" must name a family, got ${JSON.stringify(model_type) ?? 'nothing'}`);
  const found = Object.hasOwn(families, model_type) ? families[model_type] : undefined;
  if (found) return found;
  const known = Object.keys(families);
  throw new VitroError(`unknown model_type "${model_type}"; the nearest is "${closest(model_type, known)}", known are ${known.join(', ')}`);
}

/** Throws where the rotation's settings lack something, within the original context or beyond it. */
function checkRotation(given: DecoderConfig): void {
  const { config, position, positionConfig, positionSettings } = decoderParts(given);
  if (position.id !== 'rope') return;
  for (const type of new Set(config.layer_types))
    for (const limit of [1, config.max_position_embeddings]) ropeFrequencies(positionConfig, positionSettings[type], limit);
}

export interface ReadConfig {
  readonly family: Family;
  readonly config: DecoderConfig;
  /** keys of config.json that the family does not know; they had no effect */
  readonly unread: readonly string[];
}

/**
 * Family and decoder of a config.json of Hugging Face's transformers, version 4 or 5.
 *
 * @throws VitroError for an unknown model_type, a key that is missing or of the wrong type, and features that Vitro does not have
 */
export function readConfig(json: ConfigJson): ReadConfig {
  const family = familyOf(json.model_type);
  const reader = new ConfigReader(json, `model_type "${family.model_type}"`);
  const config = family.configFrom(reader);
  const unread = reader.finish();
  checkRotation(config);
  return { family, config, unread };
}

/** The config with everything that has no effect put to one value, so that equal models give equal records. */
function canonical(given: DecoderConfig): Readonly<Record<string, unknown>> {
  const { config, attentionContext, positionSettings } = decoderParts(given);
  const slides = config.layer_types.includes('sliding_attention') && (config.sliding_window ?? 0) < config.max_position_embeddings;
  const rotates = config.position_method === 'rope';
  const mixes = config.moe_layers.includes(true);
  return {
    ...config,
    attention_settings: attentionContext.settings,
    position_settings: positionSettings.full_attention,
    local_position_settings: slides ? positionSettings.sliding_attention : {},
    rope_theta: rotates ? positionSettings.full_attention.rope_theta : 0,
    layer_types: slides ? config.layer_types : [],
    sliding_window: slides ? config.sliding_window : null,
    num_experts: mixes ? config.num_experts : 0,
    moe_intermediate_size: mixes ? config.moe_intermediate_size : 0,
    router_method: mixes ? config.router_method : '',
    router_settings: mixes ? { num_experts_per_tok: 2, norm_topk_prob: true, ...config.router_settings } : {},
    attn_logit_softcapping: config.attn_logit_softcapping || null,
    final_logit_softcapping: config.final_logit_softcapping || null,
    per_layer_input_act: config.hidden_size_per_layer_input > 0 ? config.per_layer_input_act : '',
  };
}

const text = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) =>
    v !== null && typeof v === 'object' && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort()) : v,
  );

/** Fields of a decoder that a family's config.json cannot express; empty where it fits. */
export function misfits(family: Family, config: DecoderConfig): string[] {
  const json = { model_type: family.model_type, ...family.configTo(completeConfig(config)) };
  let again: DecoderConfig;
  try {
    again = readConfig(json).config;
  } catch (error) {
    if (error instanceof VitroError) return [error.message];
    throw error;
  }
  const [want, got] = [canonical(config), canonical(again)];
  return Object.keys(want).filter((key) => text(want[key]) !== text(got[key]));
}

/** The first family that expresses a decoder: Llama where it fits, Vitro's own where no other does. */
export const fittingFamily = (config: DecoderConfig): Family => all.find((family) => misfits(family, config).length === 0) ?? vitro;
