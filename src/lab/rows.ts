import type { Ledger } from '../contracts/index.js';
import { type Estimate, estimate, holm, type PairedDifference, pairedDifference, type Verdict, verdict } from '../evaluate/statistics.js';
import type { Recipe } from './recipe.js';
import type { RunRecord } from './runStore.js';
import type { Testbed } from './testbeds/index.js';

/** One row of a comparison: a recipe over its seeds, against the baseline. */
export interface CompareRow {
  /** as the user named it: a method id or several joined by + */
  readonly method: string;
  readonly recipe: Recipe;
  /** whether the settings were found by the testbed's tuning protocol for this very recipe */
  readonly tuned: boolean;
  readonly values: readonly (number | null)[];
  readonly diverged: number;
  readonly estimate: Estimate | null;
  /** method minus baseline over the seeds that both finished; null for the baseline itself */
  readonly difference: PairedDifference | null;
  /** p-value after Holm's correction over the methods compared with the baseline */
  readonly p_holm: number | null;
  readonly verdict: Verdict | null;
  /** means over the runs; tokens that were generated where the loop generates, else those that were trained on */
  readonly tokens: number;
  readonly flops: number;
  readonly train_seconds: number;
  /** the cost ledger, means over the runs */
  readonly ledger: Ledger;
}

const average = (records: readonly RunRecord[], f: (r: RunRecord) => number): number =>
  records.reduce((n, r) => n + f(r), 0) / records.length;

function averageLedger(records: readonly RunRecord[]): Ledger {
  const keys = Object.keys(records[0]?.ledger ?? {}) as (keyof Ledger)[];
  return Object.fromEntries(keys.map((k) => [k, average(records, (r) => r.ledger[k] ?? 0)])) as unknown as Ledger;
}

/** The testbed's metric by seed; null where the run diverged. */
const metricsOf = (testbed: Pick<Testbed, 'metric'>, records: readonly RunRecord[]): (number | null)[] =>
  records.map((r) => r.result[testbed.metric] ?? null);

/** Pairs the seeds that both sides finished. */
function differenceTo(baseline: readonly (number | null)[], values: readonly (number | null)[]): PairedDifference | null {
  const pairs = values.flatMap((x, i) => {
    const b = baseline[i];
    return x === null || b === null || b === undefined ? [] : [[b, x] as const];
  });
  if (pairs.length === 0) return null;
  return pairedDifference(
    pairs.map(([b]) => b),
    pairs.map(([, x]) => x),
  );
}

/** Statistics of finished runs: one row a method, in the order given (the first is the baseline); `runs[method][i]` is seed i. */
export function summariseRows(
  testbed: Pick<Testbed, 'metric' | 'better' | 'margin' | 'tuned'>,
  methods: readonly string[],
  runs: Readonly<Record<string, readonly RunRecord[]>>,
): CompareRow[] {
  const recordsOf = (method: string): readonly RunRecord[] => runs[method] ?? [];
  const baseline = metricsOf(testbed, recordsOf(methods[0] ?? ''));
  const differences = methods.map((method, k) => (k === 0 ? null : differenceTo(baseline, metricsOf(testbed, recordsOf(method)))));
  const corrected = holm(differences.map((d) => d?.p ?? Number.NaN));
  return methods.map((method, k): CompareRow => {
    const records = recordsOf(method);
    const values = metricsOf(testbed, records);
    const finite = values.filter((v) => v !== null);
    const difference = differences[k] ?? null;
    const p = corrected[k] as number;
    return {
      method,
      recipe: records[0]?.recipe ?? {},
      tuned: Object.hasOwn(testbed.tuned, method),
      values,
      diverged: values.length - finite.length,
      estimate: finite.length === 0 ? null : estimate(finite),
      difference,
      p_holm: Number.isNaN(p) ? null : p,
      verdict: difference && verdict(difference, { margin: testbed.margin, better: testbed.better, p }),
      tokens: average(records, (r) => r.ledger.tokens_generated ?? r.ledger.tokens_trained),
      flops: average(records, (r) => r.ledger.model_flops + r.ledger.optimizer_flops),
      train_seconds: average(records, (r) => r.ledger.train_seconds),
      ledger: averageLedger(records),
    };
  });
}
