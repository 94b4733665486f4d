import type { CompareSummary } from '../compare.js';
import type { CompareRow } from '../rows.js';
import { signed } from './numbers.js';

const minus = '\u2212';

/** "-0.055 (95% interval -0.060 to -0.050)", with real minus signs. */
export function differenceText({ difference: d }: CompareRow, decimals: number): string {
  if (!d) return 'no pairs';
  const mean = signed(d.mean, decimals, minus);
  return Number.isFinite(d.low)
    ? `${mean} (95% interval ${signed(d.low, decimals, minus)} to ${signed(d.high, decimals, minus)})`
    : `${mean} (one pair, no interval)`;
}

const list = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;

const costText = (cost: string): string => `at equal cost in ${cost}`;

/** One row's result against the baseline as a clause. */
function clause(row: CompareRow, { baseline, metric, margin }: CompareSummary, decimals: number): string {
  const by = differenceText(row, decimals);
  switch (row.verdict) {
    case 'gain':
      return `${row.method} is better than ${baseline}: its ${metric} differs by ${by}`;
    case 'loss':
      return `${row.method} is worse than ${baseline}: its ${metric} differs by ${by}`;
    case 'equivalent':
      return `${row.method} and ${baseline} are equivalent here: ${metric} differs by ${by}, within the margin of \u00b1${margin}`;
    case 'inconclusive':
      return `these seeds do not decide between ${row.method} and ${baseline}: ${metric} differs by ${by}`;
    default:
      return `${row.method} cannot be compared with ${baseline}: no seed finished with both`;
  }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** The result of the comparison in one sentence. Method names keep their case, so a sentence may begin with a small letter. */
export function verdictSentence(summary: CompareSummary, decimals: number): string {
  const { rows, seeds, metric, cost, baseline } = summary;
  const [base, ...others] = rows;
  const over = `over ${seeds.length} seed${seeds.length === 1 ? '' : 's'}`;
  if (!base) return 'Nothing was compared.';
  if (others.length === 0)
    return base.estimate
      ? `${base.method} alone reaches ${metric} ${base.estimate.mean.toFixed(decimals)} ${over}.`
      : `Every run of ${base.method} diverged.`;
  const only = others[0];
  if (others.length === 1 && only) {
    const text = clause(only, summary, decimals);
    return `${text.startsWith('these') ? capital(text) : text}, ${costText(cost)}, ${over}.`;
  }
  const groups = (
    [
      ['gain', 'better'],
      ['loss', 'worse'],
      ['equivalent', 'equivalent'],
      ['inconclusive', 'undecided'],
      [null, 'without a common finished seed'],
    ] as const
  ).flatMap(([verdict, word]) => {
    const found = others.filter((r) => r.verdict === verdict);
    const named = found.map((r) => (r.difference ? `${r.method} (${signed(r.difference.mean, decimals, minus)})` : r.method));
    return found.length === 0 ? [] : [`${list(named)} ${found.length === 1 ? 'is' : 'are'} ${word}`];
  });
  return `By ${metric}, ${costText(cost)} and ${over}, against ${baseline}: ${groups.join('; ')}.`;
}
