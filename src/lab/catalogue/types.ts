import type { Method } from '../../contracts/index.js';

/** A slot of the code: one folder of methods behind one contract. */
export interface CodeSlot {
  readonly id: string;
  /** name of the exported record of its methods */
  readonly record: string;
  readonly summary: string;
  /** path from the repository root */
  readonly folder: string;
  readonly methods: Readonly<Record<string, Method>>;
}

export const statuses = ['works', 'partial', 'planned', 'not-a-module'] as const;

/**
 * How far a method is: `works` = in the code, and the result of its demonstration is committed; `partial` = in the code, no such result;
 * `planned` = not in the code; `not-a-module` = a survey, a data set, a release of weights: nothing that will ever run here.
 */
export type Status = (typeof statuses)[number];

export const kinds = ['method', 'analysis', 'benchmark', 'artifact', 'theory', 'survey'] as const;
export type Kind = (typeof kinds)[number];

/** One paper: a line of catalogue/*.jsonl. */
export interface CatalogueRow {
  /** e.g. `P741` */
  readonly id: string;
  readonly name: string;
  readonly kind: Kind;
  /** the field that the paper belongs to, e.g. `kv-cache`; finer and wider than the slots of the code */
  readonly slot: string;
  /** how well it fits this laboratory: A runs small, B needs an endpoint or more machine, C is large or narrow, D is a study */
  readonly tier: 'A' | 'B' | 'C' | 'D';
  /** mechanism or finding, in our words */
  readonly summary: string;
  /** what it builds on or compares with */
  readonly near: string;
  /** false where there is nothing to implement */
  readonly module?: false;
  /** what it is or becomes instead of a method: `experiment`, `testbed`, `survey`, ... */
  readonly as?: string;
}

/** A difference to the baseline with its interval, as comparisons store it. */
export interface Difference {
  readonly mean: number;
  /** null with a single pair */
  readonly low: number | null;
  readonly high: number | null;
  readonly n: number;
}

/** What one committed comparison says of one method. */
export interface Result {
  /** path from the repository root */
  readonly file: string;
  readonly testbed: string;
  readonly metric: string;
  readonly baseline: string;
  /** the row's name: a method id, or several joined by + */
  readonly method: string;
  /** number of seeds that finished */
  readonly seeds: number;
  readonly mean: number | null;
  /** method minus baseline; null for the baseline itself and where no pair finished */
  readonly difference: Difference | null;
  readonly verdict: string | null;
  /** operations of a run over the baseline's; null where the file does not tell */
  readonly flopsRatio: number | null;
}

/** One line of `vitro methods`. */
export interface CatalogueEntry {
  /** id of the method where there is one, else the catalogue id in lower case */
  readonly id: string;
  readonly name: string;
  /** catalogue id; null for the field's standard methods */
  readonly seed: string | null;
  /** slot of the code where the method is implemented, else the field of the paper */
  readonly slot: string;
  /** field of the paper; the slot again for methods without a paper in the catalogue */
  readonly field: string;
  readonly kind: Kind;
  readonly parent: string | null;
  readonly status: Status;
  /** paths of committed results that contain the method */
  readonly evidence: readonly string[];
  readonly summary: string;
  readonly as: string | null;
}

/** An entry with everything it was made from. */
export interface CatalogueItem {
  readonly entry: CatalogueEntry;
  readonly row: CatalogueRow | null;
  readonly method: Method | null;
  readonly results: readonly Result[];
}
