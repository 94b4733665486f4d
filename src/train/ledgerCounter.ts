import type { Ledger, ParamSpec } from '../contracts/index.js';
import type { CausalModel } from '../models/causalModel.js';
import type { Leaves } from '../optim/transform/index.js';
import type { ObjectiveSizes } from './objective/slot.js';
import type { PretrainRecipe } from './pretrain.js';

/** Counts that add up over a run and survive its interruptions. */
type Counts = Record<'steps' | 'tokens_trained' | 'tokens_evaluated' | 'train_seconds' | 'wall_seconds' | 'peak_rss_bytes', number>;

/** Keeps the cost ledger of a training run. */
export class LedgerCounter {
  readonly #counts: Counts = { steps: 0, tokens_trained: 0, tokens_evaluated: 0, train_seconds: 0, wall_seconds: 0, peak_rss_bytes: 0 };
  readonly #tokensPerStep: number;
  readonly #flopsPerStep: number;
  readonly #optimizerFlopsPerStep: number;
  readonly #forwardPerToken: number;
  #since = performance.now();

  constructor(run: {
    readonly recipe: PretrainRecipe;
    readonly sizes: ObjectiveSizes;
    /** batches per step */
    readonly parts: number;
    readonly specs: Leaves<ParamSpec>;
  }) {
    const { recipe, sizes, parts, specs } = run;
    const { optimizer, objective } = recipe;
    const model: CausalModel = sizes.model;
    this.#tokensPerStep = parts * sizes.batch_size * sizes.context;
    const perToken = model.trainFlopsPerToken(sizes.context);
    this.#forwardPerToken = perToken / 3;
    const differentiates = Object.entries(specs).some(
      ([path, spec]) => optimizer.method.needsGradient?.(spec, path, optimizer.settings) ?? true,
    );
    const passes = (differentiates ? 3 : 1) + (optimizer.method.lossEvaluations?.(optimizer.settings) ?? 0);
    const extra = objective.method.extraFlops?.(sizes, objective.settings) ?? 0;
    this.#flopsPerStep = this.#tokensPerStep * this.#forwardPerToken * passes + parts * extra;
    this.#optimizerFlopsPerStep = optimizer.method.flops(specs, optimizer.settings);
  }

  get tokensTrained(): number {
    return this.#counts.tokens_trained;
  }

  /** One training step of so many seconds. */
  trained(seconds: number): void {
    this.#counts.steps++;
    this.#counts.tokens_trained += this.#tokensPerStep;
    this.#counts.train_seconds += seconds;
  }

  evaluated(tokens: number): void {
    this.#counts.tokens_evaluated += tokens;
  }

  /** Totals so far, for a checkpoint. */
  counts(): Counts {
    const now = performance.now();
    this.#counts.wall_seconds += (now - this.#since) / 1000;
    this.#since = now;
    this.#counts.peak_rss_bytes = Math.max(this.#counts.peak_rss_bytes, process.resourceUsage().maxRSS * 1024);
    return { ...this.#counts };
  }

  /** Goes on from the totals of a checkpoint. */
  restore(counts: Readonly<Record<string, number>>): void {
    for (const key of Object.keys(this.#counts) as (keyof Counts)[]) this.#counts[key] = counts[key] ?? 0;
    this.#since = performance.now();
  }

  total(): Ledger {
    const { steps, ...counts } = this.counts();
    return {
      ...counts,
      model_flops: steps * this.#flopsPerStep + counts.tokens_evaluated * this.#forwardPerToken,
      optimizer_flops: steps * this.#optimizerFlopsPerStep,
    };
  }
}
