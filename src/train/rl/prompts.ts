import type { Tokenizer } from '../../contracts/index.js';
import type { JsonValue } from '../../data/stream/batch.js';
import { VitroError } from '../../tensor/errors.js';
import type { PromptDataset } from './contract.js';

/** A row of the data: the prompt, and columns that the rewards see. */
export type PromptRow = Readonly<Record<string, JsonValue>> & { readonly prompt: string };

/** Rows as problems. Tokens are the tokenizer's own, special ones included; an empty prompt becomes a bos. */
export function promptDataset(rows: readonly PromptRow[], tokenizer: Tokenizer): PromptDataset {
  if (rows.length === 0) throw new VitroError('rl: there are no prompts; give at least one row with the column prompt');
  const encode = (text: string, i: number): Int32Array => {
    const tokens = tokenizer.encode(text, { add_special_tokens: true });
    if (tokens.length > 0) return tokens;
    if (tokenizer.bos_token_id === null) throw new VitroError(`rl: prompt ${i} is empty, and the tokenizer has no bos token`);
    return Int32Array.of(tokenizer.bos_token_id);
  };
  return {
    length: rows.length,
    prompt: (i) => {
      const row = rows[i];
      if (!row) throw new VitroError(`rl: there is no prompt ${i} among ${rows.length}`);
      const { prompt, ...columns } = row;
      return { id: i, text: prompt, tokens: encode(prompt, i), columns };
    },
  };
}
