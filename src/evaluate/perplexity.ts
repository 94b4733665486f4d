import type { Tokenizer } from '../contracts/index.js';
import type { Dataset } from '../data/dataset/dataset.js';
import { encodeDocuments } from '../data/tokens/encode.js';
import type { CausalModel } from '../models/causalModel.js';
import type { ParamTree } from '../nn/param.js';
import { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { LmScorer } from './languageModel.js';

export interface PerplexityOptions {
  readonly model: CausalModel;
  readonly params: ParamTree<NDArray>;
  readonly tokenizer: Tokenizer;
  readonly dataset: Dataset;
  /** default text */
  readonly text_column?: string;
  /** most tokens that a token is predicted from; default: the model's context */
  readonly context?: number;
  /** tokens that each further window of a long document scores; the smaller, the more context each token has. Default: the context (windows side by side) */
  readonly stride?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: {
    readonly documents: number;
    readonly bytes: number;
    readonly tokens: number;
    readonly total_documents: number | null;
  }) => void;
}

/** Totals over a dataset; every token of every document is scored once. */
export interface PerplexityResult {
  /** of the tokens that were scored, in nats */
  readonly nats: number;
  readonly tokens: number;
  /** tokens that went through the model, again for each window that shows them as context */
  readonly tokens_evaluated: number;
  readonly documents: number;
  /** UTF-8 bytes of the text */
  readonly bytes: number;
  /** whether the first token of a document is predicted from a bos (else eos) token; otherwise it is not scored */
  readonly scores_first_token: boolean;
}

/** Metrics under the keys of lm-eval. */
export function perplexityMetrics({ nats, tokens, bytes }: PerplexityResult): Record<string, number> {
  return {
    'perplexity,none': Math.exp(nats / tokens),
    'bits_per_byte,none': nats / bytes / Math.LN2,
    'byte_perplexity,none': Math.exp(nats / bytes),
  };
}

/** A window over a sequence: `inputs` predict `targets`, of which the leading `skipped` are context only. */
export interface ScoredWindow {
  readonly inputs: Int32Array;
  readonly targets: Int32Array;
  readonly skipped: number;
}

/**
 * Windows of at most `context` inputs that score each token of a sequence but the first once. The first window scores all it can; each further one
 * moves on by `stride` and scores what is new.
 */
export function* slidingWindows(sequence: Int32Array, context: number, stride: number): Generator<ScoredWindow> {
  const last = sequence.length - 1;
  for (let scored = 0; scored < last; ) {
    const end = Math.min(scored === 0 ? context : scored + stride, last);
    const start = Math.max(0, end - context);
    yield { inputs: sequence.subarray(start, end), targets: sequence.subarray(start + 1, end + 1), skipped: scored - start };
    scored = end;
  }
}

/** Tokens of one call of the model, about. */
const batchTokens = 4096;

/** Windows of about one length, padded on the right to one shape. */
class WindowBatch {
  readonly #inputs: Int32Array<ArrayBuffer>;
  readonly #targets: Int32Array<ArrayBuffer>;
  #count = 0;

  constructor(
    readonly rows: number,
    readonly length: number,
  ) {
    this.#inputs = new Int32Array(rows * length);
    this.#targets = new Int32Array(rows * length).fill(-1);
  }

  get isFull(): boolean {
    return this.#count === this.rows;
  }

  add({ inputs, targets, skipped }: ScoredWindow): void {
    const at = this.#count++ * this.length;
    this.#inputs.set(inputs, at);
    this.#targets.set(targets.subarray(skipped), at + skipped);
  }

  get batch(): { readonly inputs: NDArray; readonly targets: NDArray } {
    const shape = [this.rows, this.length];
    return { inputs: new NDArray('i32', shape, this.#inputs), targets: new NDArray('i32', shape, this.#targets) };
  }
}

const lengthBucket = (length: number, context: number): number => Math.min(2 ** Math.max(6, Math.ceil(Math.log2(length))), context);

/**
 * Cross-entropy of a model over the documents of a dataset, each by itself after a bos token (eos where there is none), long ones in sliding
 * windows.
 *
 * @throws VitroError for a context that the model does not have, a stride beyond it, and token ids that the model does not know
 */
export async function perplexity(options: PerplexityOptions): Promise<PerplexityResult> {
  const { model, params, tokenizer, dataset, signal, onProgress } = options;
  const context = options.context ?? model.context;
  if (!Number.isInteger(context) || context < 1 || context > model.context)
    throw new VitroError(`perplexity: the context must be from 1 to the model's ${model.context}, got ${context}`);
  const stride = options.stride ?? context;
  if (!Number.isInteger(stride) || stride < 1 || stride > context)
    throw new VitroError(`perplexity: the stride must be from 1 to the context of ${context}, got ${stride}`);
  const first = tokenizer.bos_token_id ?? tokenizer.eos_token_id;
  const scorer = new LmScorer(model, options.threads === undefined ? {} : { threads: options.threads });
  const waiting = new Map<number, WindowBatch>();
  const total = { nats: 0, tokens: 0, tokens_evaluated: 0, documents: 0, bytes: 0 };

  const score = async (windows: WindowBatch): Promise<void> => {
    const set = { name: 'text', batches: [windows.batch], metric: 'bpb' } as const;
    const { nats, counted, tokens } = await scorer.score(params, set, signal ? { signal } : {});
    total.nats += nats;
    total.tokens += counted;
    total.tokens_evaluated += tokens;
    onProgress?.({ documents: total.documents, bytes: total.bytes, tokens: total.tokens, total_documents: dataset.length });
  };
  try {
    const texts = encodeDocuments(dataset, tokenizer, {
      append_eos: false,
      ...(options.text_column ? { text_column: options.text_column } : {}),
      ...(signal ? { signal } : {}),
    });
    for await (const { ids, bytes } of texts) {
      total.documents++;
      total.bytes += bytes;
      const wrong = ids.find((id) => id >= model.vocab_size);
      if (wrong !== undefined)
        throw new VitroError(
          `document ${total.documents - 1} holds the token ${wrong}, but the model knows ${model.vocab_size}; does the tokenizer belong to another model?`,
        );
      for (const window of slidingWindows(first === null ? ids : prefixed(first, ids), context, stride)) {
        const length = lengthBucket(window.inputs.length, context);
        const batch = waiting.get(length) ?? new WindowBatch(Math.max(1, Math.floor(batchTokens / length)), length);
        waiting.set(length, batch);
        batch.add(window);
        if (!batch.isFull) continue;
        waiting.delete(length);
        await score(batch);
      }
    }
    for (const batch of waiting.values()) await score(batch);
    if (total.tokens === 0) throw new VitroError('perplexity: the dataset gives no token to score');
    return { ...total, scores_first_token: first !== null };
  } finally {
    scorer.dispose();
  }
}

function prefixed(first: number, rest: Int32Array): Int32Array {
  const out = new Int32Array(rest.length + 1);
  out[0] = first;
  out.set(rest, 1);
  return out;
}
