import { closest } from 'fastest-levenshtein';
import { completeConfig, type DecoderConfig, type FullDecoderConfig } from '../decoder/config.js';
import type { Family } from './family.js';

const minimal: DecoderConfig = {
  vocab_size: 1,
  hidden_size: 1,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  intermediate_size: 1,
  max_position_embeddings: 1,
};
const examples: Readonly<Record<string, unknown>> = {
  ...completeConfig(minimal),
  sliding_window: 1,
  attn_logit_softcapping: 1,
  final_logit_softcapping: 1,
};
const known = Object.keys(examples);
const nullable = ['sliding_window', 'attn_logit_softcapping', 'final_logit_softcapping'];

/** Whether a value has the type that the key's default has. */
function fits(key: string, value: unknown): boolean {
  const example = examples[key];
  if (value === null) return nullable.includes(key);
  return typeof value === typeof example && Array.isArray(value) === Array.isArray(example);
}
const notOurs = new Set(['model_type', 'architectures', 'bos_token_id', 'eos_token_id', 'pad_token_id', 'dtype', 'torch_dtype']);

/** Vitro's own: DecoderConfig as it is, for models that no family of transformers expresses (other attention or position methods, ...). */
export const vitro: Family = {
  model_type: 'vitro',
  architecture: 'VitroForCausalLM',
  configFrom: (reader) => {
    const keys = Object.keys(reader.json).filter((key) => !notOurs.has(key));
    reader.skip(...keys);
    const wrong = keys.find((key) => !known.includes(key));
    if (wrong !== undefined) throw reader.fail(`unknown key "${wrong}"; did you mean "${closest(wrong, known)}"?`);
    reader.layers();
    for (const key of keys) if (!fits(key, reader.json[key])) throw reader.fail(`"${key}" must be like ${JSON.stringify(examples[key])}`);
    return Object.fromEntries(keys.map((key) => [key, reader.json[key]])) as unknown as DecoderConfig;
  },
  configTo: (config: FullDecoderConfig) => ({ ...config }),
  layout: () => ({ prefix: 'model.' }),
};
