import { holm, type PairedDifference, type Verdict, verdict } from '../../src/evaluate/statistics.js';
import { compare } from '../../src/lab/compare.js';
import type { CompareRow } from '../../src/lab/rows.js';
import { findTestbed } from '../../src/lab/testbeds/index.js';
import { progress, runsOf, withInterval } from './study.js';

/** Comparisons of one method under several settings, which `compare` does one at a time; runs of the baseline are shared. */

export interface Variant {
  readonly label: string;
  /** a composition */
  readonly method: string;
  /** as `--set` has it */
  readonly set: readonly string[];
}

export interface ComparedVariant extends Variant {
  readonly base: CompareRow;
  readonly row: CompareRow;
  readonly difference: PairedDifference;
}

export interface VariantsOptions {
  /** of the study, for its runs */
  readonly name: string;
  readonly testbed: string;
  readonly baseline: string;
  readonly seeds: number;
  /** settings of both sides */
  readonly set?: readonly string[];
}

export async function comparedVariant(
  variant: Variant,
  { name, testbed, baseline, seeds, set = [] }: VariantsOptions,
): Promise<ComparedVariant> {
  const { rows } = await compare(
    { methods: [baseline, variant.method], testbed, seeds, set: [...set, ...variant.set], out: runsOf(name), parallel: 1, threads: 1 },
    progress,
  );
  const [base, row] = rows as [CompareRow, CompareRow];
  if (!row.difference) throw new Error(`${variant.label}: all runs diverged`);
  return { ...variant, base, row, difference: row.difference };
}

/** Verdicts over all comparisons of a study, corrected for their number. */
export function judgedVariants<T extends ComparedVariant>(
  all: readonly T[],
  testbed: string,
): readonly (T & { readonly p: number; readonly verdict: Verdict })[] {
  const { margin, better } = findTestbed(testbed);
  const corrected = holm(all.map(({ difference }) => difference.p));
  return all.map((c, i) => {
    const p = corrected[i] as number;
    return { ...c, p, verdict: verdict(c.difference, { margin, better, p }) };
  });
}

/** The metric of a side with its interval over seeds. */
export const sideInterval = ({ estimate }: CompareRow): string =>
  estimate ? withInterval({ value: estimate.mean, low: estimate.low, high: estimate.high }) : 'diverged';

export const differenceInterval = ({ mean, low, high }: PairedDifference): string => withInterval({ value: mean, low, high });
