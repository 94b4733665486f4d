import type { Tokenizer } from '../../contracts/index.js';
import type { Batch, BatchSource } from '../../data/stream/batch.js';
import { mixture } from '../../data/stream/mixture.js';
import { packedDocuments } from '../../data/stream/packed.js';
import { retokenized } from '../../data/stream/retokenized.js';
import { randomWindows, validationBatches } from '../../data/stream/windows.js';
import type { TokenizationMethod } from '../../data/tokenization/index.js';
import { cacheTokens } from '../../data/tokens/tokenCache.js';
import type { TokenStore } from '../../data/tokens/tokenStore.js';
import type { EvalSet } from '../../evaluate/languageModel.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { UsageError } from '../names.js';
import { partOf, type Recipe } from '../recipe.js';
import type { PretrainConfig } from './config.js';
import type { TrainingText } from './texts.js';

type Packing = 'windows' | 'concat' | 'best-fit';

/** A text as tokens. */
export interface TokenizedText {
  readonly name: string;
  readonly train: TokenStore;
  readonly validation?: TokenStore;
  readonly fraction: number;
}

/** Tokenises the texts, once for all runs: token files are kept in the cache folder. */
export async function tokenize(
  texts: readonly TrainingText[],
  tokenizer: Tokenizer,
  hooks: { readonly signal?: AbortSignal; readonly onStage: (what: string) => void },
): Promise<readonly TokenizedText[]> {
  const out: TokenizedText[] = [];
  for (const { name, train, validation, text_column, fraction } of texts) {
    const options = {
      text_column,
      ...(hooks.signal ? { signal: hooks.signal } : {}),
      onProgress: ({ bytes }: { bytes: number }) => hooks.onStage(`tokenizing ${name}, ${(bytes / 2 ** 20).toFixed(1)} MiB`),
    };
    const tokens = await cacheTokens(train, tokenizer, options);
    const held = validation ? await cacheTokens(validation, tokenizer, options) : undefined;
    out.push({ name, train: tokens, ...(held ? { validation: held } : {}), fraction: fraction ?? tokens.num_tokens });
  }
  return out;
}

/** How rows are made: as the user says, else windows for one document and whole documents for several. */
export function packingOf({ packing }: PretrainConfig, texts: readonly TrainingText[]): Packing {
  if (packing === undefined) return texts.every((text) => text.single) ? 'windows' : 'concat';
  if (packing === 'windows' || packing === false) return 'windows';
  return packing === 'best-fit' || packing === 'bfd' ? 'best-fit' : 'concat';
}

interface RowOptions {
  readonly packing: Packing;
  readonly batch_size: number;
  readonly context: number;
}

function rowsOf(
  store: TokenStore,
  name: string,
  key: ReturnType<typeof randomKey>,
  { packing, batch_size, context }: RowOptions,
): BatchSource {
  if (packing !== 'windows') return packedDocuments(store, { key, batch_size, context, packing });
  if (store.num_tokens <= context)
    throw new UsageError(
      `${name} has ${store.num_tokens} training tokens, too few for rows of max_length ${context}; give a shorter max_length or more text`,
    );
  return randomWindows(store, { key, batch_size, context });
}

/** The training batches of a run. */
export function trainingBatches(
  texts: readonly TokenizedText[],
  options: RowOptions & { readonly seed: number; readonly tokenizer: Tokenizer; readonly recipe: Recipe },
): BatchSource {
  const { seed, tokenizer, recipe, packing, batch_size, context } = options;
  const key = foldIn(randomKey(seed), 1);
  const { method, settings } = partOf<TokenizationMethod>(recipe, 'tokenization');
  const rewrites = method.id !== 'deterministic';
  const retokenizer = method.create(tokenizer, settings);
  // a packed row keeps its end where it grows as much as rows do on average
  const length = rewrites && packing !== 'windows' ? Math.max(1, Math.round(context / retokenizer.growth)) : context;
  const shape = { packing, context: length };
  const [first] = texts;
  const source =
    texts.length === 1 && first
      ? rowsOf(first.train, first.name, key, { ...shape, batch_size })
      : mixture({
          key: foldIn(key, texts.length),
          batch_size,
          sources: Object.fromEntries(
            texts.map(({ name, train, fraction }, i) => [
              `${i} ${name}`,
              { source: rowsOf(train, name, foldIn(key, i), { ...shape, batch_size: 1 }), fraction },
            ]),
          ),
        });
  return rewrites
    ? retokenized(source, retokenizer, {
        key: foldIn(randomKey(seed), 4),
        context,
        method: { method: method.id, settings: { ...settings } },
      })
    : source;
}

/** Rows of a validation text as they are in training, each token once, up to a limit. */
function heldOutRows(store: TokenStore, name: string, options: RowOptions, limit: number): Batch[] {
  const { packing, context } = options;
  const rows = Math.floor(Math.min(packing === 'windows' ? store.num_tokens - 1 : store.num_tokens, limit) / context);
  const batch_size = Math.min(options.batch_size, rows);
  if (batch_size < 1)
    throw new UsageError(
      `the validation text of ${name} has ${store.num_tokens} tokens, fewer than max_length ${context}; give a shorter max_length, a larger validation_fraction or eval_dataset_name, or validation_fraction 0 for none`,
    );
  if (packing === 'windows') return validationBatches(store, batch_size, context, limit);
  const source = packedDocuments(store, { key: randomKey(0), batch_size, context });
  return Array.from({ length: Math.floor(rows / batch_size) }, () => source.next() as Batch);
}

/** The validation texts as one set, their batches by turns. */
export function evaluationOf(
  texts: readonly TokenizedText[],
  config: PretrainConfig,
  options: RowOptions & { readonly tokenizer: Tokenizer },
): readonly EvalSet[] {
  const { tokenizer, context } = options;
  const batch_size = config.per_device_eval_batch_size ?? options.batch_size;
  const held = texts.flatMap(({ name, validation }) => (validation ? [{ name, validation }] : []));
  if (held.length === 0) return [];
  const limit = Math.max(context, Math.floor(config.max_eval_tokens / held.length));
  const sets = held.map(({ name, validation }) => heldOutRows(validation, name, { ...options, batch_size }, limit));
  const longest = Math.max(...sets.map((set) => set.length));
  const batches = Array.from({ length: longest }, (_, i) => sets.flatMap((set) => set.slice(i, i + 1))).flat();
  const sizes = Int32Array.from({ length: tokenizer.vocab_size }, (_, id) => tokenizer.tokenBytes(id).length);
  const bytesOf = ({ targets }: Batch): number =>
    (targets.data as Int32Array).reduce((n, id) => n + (id >= 0 ? (sizes[id] as number) : 0), 0);
  return [{ name: 'val', metric: 'bpb', batches, quick: Math.max(1, Math.round(config.eval_tokens / (batch_size * context))), bytesOf }];
}
