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
const known = Object.keys(completeConfig(minimal));
const notOurs = new Set(['model_type', 'architectures', 'bos_token_id', 'eos_token_id', 'pad_token_id', 'dtype', 'torch_dtype']);

/** Vitro's own: DecoderConfig as it is, for models that no family of transformers expresses (other attention or position methods, ...). */
export const vitro: Family = {
  model_type: 'vitro',
  architecture: 'VitroForCausalLM',
  configFrom: (reader) => {
    const keys = Object.keys(reader.json).filter((key) => !notOurs.has(key));
    const wrong = keys.find((key) => !known.includes(key));
    if (wrong !== undefined) throw reader.fail(`unknown key "${wrong}"; did you mean "${closest(wrong, known)}"?`);
    reader.skip(...keys);
    return Object.fromEntries(keys.map((key) => [key, reader.json[key]])) as unknown as DecoderConfig;
  },
  configTo: (config: FullDecoderConfig) => ({ ...config }),
  layout: () => ({ prefix: 'model.' }),
};
