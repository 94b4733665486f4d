import type { Ledger, Settings } from '../../contracts/index.js';
import type { Recipe, RecipeBase, SlotSettings } from '../recipe.js';

/** What a run brings out. */
export interface Outcome {
  readonly status: 'finished' | 'diverged';
  /** final metrics by name; empty where the run diverged */
  readonly metrics: Readonly<Record<string, number>>;
  readonly ledger: Ledger;
}

export interface RunHooks {
  readonly seed: number;
  /** of each compiled function */
  readonly threads: number;
  readonly signal?: AbortSignal;
  /** a line of metrics.jsonl */
  readonly onMetrics?: (line: Readonly<Record<string, number | null>>) => void;
}

/** A small, fixed task on which methods are compared at equal cost. */
export interface Testbed extends RecipeBase {
  readonly id: string;
  readonly summary: string;
  /** the final metric that decides */
  readonly metric: string;
  readonly better: 'lower' | 'higher';
  /** differences of the metric below this do not matter: intervals within it are `equivalent` */
  readonly margin: number;
  /** further final metrics that a comparison may be decided by, `--metric` */
  readonly others?: Readonly<Record<string, { readonly better: 'lower' | 'higher'; readonly margin: number }>>;
  /** what both sides of a comparison spend alike */
  readonly cost: string;
  /** settings found by the tuning protocol, by recipe (`adamw`, `adamw+quest`) and slot; committed under assets/tuning */
  readonly tuned: Readonly<Record<string, SlotSettings>>;
  /**
   * The tuning protocol: every candidate is run on the tuning seeds (which no comparison uses) with the full budget; the best mean metric wins. All
   * methods have the same number of candidates.
   */
  readonly tuning: {
    readonly seeds: readonly number[];
    /** settings of the optimizer to try, by the optimizer's id */
    readonly candidates: Readonly<Record<string, readonly Settings[]>>;
  };
  /** Everything but recipe and seed that determines a run: model, budget, digest of the data. */
  task(recipe: Recipe): Promise<Readonly<Record<string, unknown>>>;
  /** training steps of a run, for progress */
  steps(recipe: Recipe): number;
  run(recipe: Recipe, hooks: RunHooks): Promise<Outcome>;
}
