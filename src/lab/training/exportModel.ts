import type { Tokenizer } from '../../contracts/index.js';
import { type DecoderConfig, saveModel, saveTokenizer } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';

/** Writes a model with its tokenizer as a folder in Hugging Face's layout. `eos_token_ids` default to the tokenizer's. */
export async function exportWithTokenizer(
  folder: string,
  {
    config,
    params,
    tokenizer,
    eos_token_ids = [],
  }: {
    readonly config: DecoderConfig;
    readonly params: ParamTree<NDArray>;
    readonly tokenizer: Tokenizer;
    readonly eos_token_ids?: readonly number[];
  },
): Promise<void> {
  const { bos_token_id, pad_token_id } = tokenizer;
  const eos_token_id = eos_token_ids.length > 1 ? eos_token_ids : (eos_token_ids[0] ?? tokenizer.eos_token_id);
  await saveModel(folder, { config, params, tokens: { bos_token_id, eos_token_id, pad_token_id } });
  await saveTokenizer(folder, tokenizer);
}
