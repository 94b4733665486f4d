import type { Tokenizer } from '../contracts/index.js';
import type { CausalModel } from '../models/causalModel.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { getOrMake } from '../tensor/getOrMake.js';
import { type Completion, CompletionRow, type TokenEvent } from './completionRow.js';
import { DecodeBatch } from './decodeBatch.js';
import { DecodeEngine, type EngineOptions } from './decodeEngine.js';
import { PrefixCaches, prefixBucket } from './prefixes.js';
import { chainOf, type SamplerStep, type Sampling, samplerChain } from './sampling.js';

export interface GenerateOptions extends EngineOptions {
  readonly model: CausalModel;
  readonly params: ParamTree<NDArray>;
  /** token ids, at least one each (a bos where there is nothing else) */
  readonly prompts: readonly Int32Array[];
  /** completions of each prompt; default 1 */
  readonly n?: number;
  /** most tokens of a completion; a completion also ends where the context does */
  readonly max_completion_length: number;
  /** settings by transformers' names, or a chain of samplers; default: the model's own distribution */
  readonly sampling?: Sampling | readonly SamplerStep[];
  readonly stop_token_ids?: readonly number[];
  /** texts that end a completion; they need a tokenizer */
  readonly stop?: readonly string[];
  /** gives completions their text */
  readonly tokenizer?: Tokenizer;
  /** default 0. A row's random numbers follow from the seed, its prompt's id, its index and the position. */
  readonly seed?: number | bigint;
  /** names of the prompts for their random numbers; default 0, 1, ... */
  readonly prompt_ids?: readonly number[];
  /** rows that are decoded at once; default 64, fewer where their caches would exceed 2 GiB */
  readonly batch_size?: number;
  readonly onToken?: (event: TokenEvent) => void;
  readonly signal?: AbortSignal;
  /** default: one for each model, kept as long as the model is */
  readonly engine?: DecodeEngine;
}

const cacheLimit = 2 ** 31;
const engines = new WeakMap<CausalModel, Map<string, DecodeEngine>>();

/** The engine of a model that calls without one of their own share. */
function sharedEngine(model: CausalModel, { backend, threads }: EngineOptions): DecodeEngine {
  const options = { ...(backend ? { backend } : {}), ...(threads ? { threads } : {}) };
  const own = getOrMake(engines, model, () => new Map<string, DecodeEngine>());
  return getOrMake(own, JSON.stringify(options), () => new DecodeEngine(model, options));
}

function positive(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) throw new VitroError(`generate: ${name} must be a positive whole number, got ${value}`);
  return value;
}

function checkPrompts({ model, prompts, prompt_ids }: GenerateOptions): void {
  if (prompt_ids && prompt_ids.length !== prompts.length)
    throw new VitroError(`generate: ${prompts.length} prompts, but ${prompt_ids.length} prompt_ids`);
  for (const [i, prompt] of prompts.entries()) {
    if (prompt.length === 0) throw new VitroError(`generate: prompt ${i} has no tokens; begin it with a bos token`);
    if (prompt.length >= model.context)
      throw new VitroError(
        `generate: prompt ${i} has ${prompt.length} tokens; the model's context of ${model.context} leaves no room for more`,
      );
    const wrong = prompt.find((id) => id < 0 || id >= model.vocab_size);
    if (wrong !== undefined)
      throw new VitroError(
        `generate: prompt ${i} holds the token ${wrong}, but the model knows ${model.vocab_size}; does the tokenizer belong to another model?`,
      );
  }
}

const isChain = (sampling: GenerateOptions['sampling']): sampling is readonly SamplerStep[] => Array.isArray(sampling);

/**
 * Continues prompts with a model, all rows together: prompts of unequal length are computed once each, whatever n is, then every step appends a
 * token to all rows; rows that ended make room for those that wait. Completions come in the order of the prompts, n for each.
 *
 * @throws VitroError for prompts that are empty, too long or of another vocabulary, and for settings out of range
 */
export async function generate(options: GenerateOptions): Promise<Completion[]> {
  const { model, params, prompts, sampling = {}, tokenizer, stop = [], signal, onToken } = options;
  const n = positive('n', options.n ?? 1);
  const longest = positive('max_completion_length', options.max_completion_length);
  if (stop.length > 0 && !tokenizer) throw new VitroError('generate: stop strings need a tokenizer; give one, or use stop_token_ids');
  if (stop.includes('')) throw new VitroError('generate: a stop string must not be empty');
  checkPrompts(options);
  if (prompts.length === 0) return [];
  const chain = isChain(sampling) ? samplerChain(sampling) : chainOf(sampling);
  const engine = options.engine ?? sharedEngine(model, options);
  const settings = { seed: options.seed ?? 0, stop_token_ids: new Set(options.stop_token_ids), stop, tokenizer };

  // prompts of one padded length stand together, so that they are computed together
  const order = [...prompts.keys()].sort(
    (a, b) => prefixBucket(prompts[a]?.length ?? 0, model.context) - prefixBucket(prompts[b]?.length ?? 0, model.context) || a - b,
  );
  const limitOf = (prompt: Int32Array): number => Math.min(longest, model.context - prompt.length);
  const needed = Math.max(...prompts.map((prompt) => prompt.length + limitOf(prompt) - 1));
  const fitting = Math.max(1, Math.floor(cacheLimit / (needed * model.cacheBytesPerToken)));
  const slots = Math.min(positive('batch_size', options.batch_size ?? Math.min(64, fitting)), prompts.length * n);
  const ordered = order.map((p) => prompts[p] as Int32Array);
  const batch = new DecodeBatch(engine, chain, params, slots, needed);
  const prefixes = new PrefixCaches(engine, params, ordered, batch.limit);
  const done = new Array<Completion>(prompts.length * n);

  let admitted = 0;
  const admit = async (slot: number): Promise<void> => {
    const [place, index] = [Math.floor(admitted / n), admitted % n];
    admitted++;
    const prompt = order[place] as number;
    const ids = ordered[place] as Int32Array;
    const row = new CompletionRow(prompt, index, ids, limitOf(ids), options.prompt_ids?.[prompt] ?? prompt, settings);
    batch.place(slot, row, await prefixes.get(place));
  };
  for (let slot = 0; slot < slots; slot++) await admit(slot);
  while (batch.active.length > 0) {
    signal?.throwIfAborted();
    await batch.step(onToken);
    for (let slot = batch.active.length - 1; slot >= 0; slot--) {
      const row = batch.active[slot] as CompletionRow;
      if (!row.finished) continue;
      done[row.prompt * n + row.index] = row.completion();
      if (admitted < done.length) await admit(slot);
      else batch.close(slot);
    }
  }
  batch.release();
  return done;
}
