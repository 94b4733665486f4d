import { isRecord, type JsonRecord } from './json.js';

/** What tokenizer_config.json and special_tokens_map.json say beside the vocabulary. Keys that are not listed are kept as they are. */
export interface TokenizerConfig extends JsonRecord {
  readonly bos_token?: unknown;
  readonly eos_token?: unknown;
  readonly pad_token?: unknown;
  readonly add_bos_token?: unknown;
  readonly add_eos_token?: unknown;
  readonly tokenizer_class?: unknown;
  /** a template, or a list of {name, template} */
  readonly chat_template?: unknown;
}

/** The text of a special token, which is written as a string or as {content}. */
export function specialText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return isRecord(value) && typeof value.content === 'string' ? value.content : null;
}

export type SpecialRole = 'bos' | 'eos' | 'pad';

/** Names that checkpoints without a tokenizer_config.json give to these tokens. */
const customary: Readonly<Record<SpecialRole, readonly string[]>> = {
  bos: ['<s>', '<|begin_of_text|>', '<｜begin▁of▁sentence｜>', '<bos>', '[CLS]'],
  eos: ['</s>', '<|end_of_text|>', '<｜end▁of▁sentence｜>', '<eos>', '<|endoftext|>', '[SEP]'],
  pad: ['<pad>', '[PAD]', '<|padding|>'],
};

/** Id of a special token: as the configuration names it, and without any configuration by its customary name. */
export function specialId(role: SpecialRole, config: TokenizerConfig, tokenId: (token: string) => number | undefined): number | null {
  const named = specialText(config[`${role}_token`]);
  if (named !== null) return tokenId(named) ?? null;
  if (Object.keys(config).length > 0) return null;
  for (const name of customary[role]) {
    const id = tokenId(name);
    if (id !== undefined) return id;
  }
  return null;
}

/** Tokenizer classes whose `add_bos_token` and `add_eos_token` decide over tokenizer.json's post-processor. */
const framedByConfig = /^(?:Code)?Llama|^Gemma/;

export const configDecidesFrame = (config: TokenizerConfig): boolean =>
  typeof config.tokenizer_class === 'string' &&
  framedByConfig.test(config.tokenizer_class) &&
  (typeof config.add_bos_token === 'boolean' || typeof config.add_eos_token === 'boolean');
