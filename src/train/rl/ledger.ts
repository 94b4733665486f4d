import type { Ledger } from '../../contracts/index.js';
import type { CausalModel } from '../../models/index.js';

/** A cost ledger with the tokens that were generated. Generation reads the model once a token; its FLOPs are part of model_flops. */
export type RlLedgerTotal = Ledger & Required<Pick<Ledger, 'tokens_generated'>>;

type Counts = Record<
  | 'tokens_trained'
  | 'tokens_evaluated'
  | 'tokens_generated'
  | 'model_flops'
  | 'optimizer_flops'
  | 'train_seconds'
  | 'wall_seconds'
  | 'peak_rss_bytes',
  number
>;

/** Keeps the cost ledger of a reinforcement-learning run. */
export class RlLedger {
  readonly #counts: Counts = {
    tokens_trained: 0,
    tokens_evaluated: 0,
    tokens_generated: 0,
    model_flops: 0,
    optimizer_flops: 0,
    train_seconds: 0,
    wall_seconds: 0,
    peak_rss_bytes: 0,
  };
  readonly #trainFlops: number;
  #since = performance.now();

  /** `context`: typical length of a sequence; `stepFlops`: of the optimizer */
  constructor(
    model: CausalModel,
    context: number,
    readonly stepFlops: number,
  ) {
    this.#trainFlops = model.trainFlopsPerToken(context);
  }

  /** One optimizer step over so many tokens, padding included. */
  trained(tokens: number, seconds: number): void {
    this.#counts.tokens_trained += tokens;
    this.#counts.model_flops += tokens * this.#trainFlops;
    this.#counts.optimizer_flops += this.stepFlops;
    this.#counts.train_seconds += seconds;
  }

  /** Tokens of a forward pass alone. */
  scored(tokens: number): void {
    this.#counts.tokens_evaluated += tokens;
    this.#counts.model_flops += (tokens * this.#trainFlops) / 3;
  }

  generated(tokens: number): void {
    this.#counts.tokens_generated += tokens;
    this.#counts.model_flops += (tokens * this.#trainFlops) / 3;
  }

  get tokensGenerated(): number {
    return this.#counts.tokens_generated;
  }

  /** tokens that were generated, scored or trained */
  get tokens(): number {
    const { tokens_trained, tokens_generated, tokens_evaluated } = this.#counts;
    return tokens_trained + tokens_generated + tokens_evaluated;
  }

  counts(): Counts {
    const now = performance.now();
    this.#counts.wall_seconds += (now - this.#since) / 1000;
    this.#since = now;
    this.#counts.peak_rss_bytes = Math.max(this.#counts.peak_rss_bytes, process.resourceUsage().maxRSS * 1024);
    return { ...this.#counts };
  }

  restore(counts: Readonly<Record<string, number>>): void {
    for (const key of Object.keys(this.#counts) as (keyof Counts)[]) this.#counts[key] = counts[key] ?? 0;
    this.#since = performance.now();
  }

  total(): RlLedgerTotal {
    return this.counts();
  }
}
