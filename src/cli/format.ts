import { stripVTControlCharacters } from 'node:util';
import type { CompareSummary } from '../lab/compare.js';
import { decimalsFor, duration, si, signed } from '../lab/report/numbers.js';
import type { CompareRow } from '../lab/rows.js';
import { wrap } from './wrap.js';

export { duration, si };

const widthOf = (text: string): number => stripVTControlCharacters(text).length;

/** Aligned columns, all to the right but those in `left` (default: the first). Colour codes take no width. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  { left = [0] }: { readonly left?: readonly number[] } = {},
): string {
  const widths = header.map((h, i) => Math.max(widthOf(h), ...rows.map((r) => widthOf(r[i] ?? ''))));
  const cell = (text: string, i: number): string => {
    const space = ' '.repeat((widths[i] as number) - widthOf(text));
    return left.includes(i) ? text + space : space + text;
  };
  const line = (cells: readonly string[]): string => cells.map(cell).join('   ').trimEnd();
  return [line(header), line(widths.map((w) => '-'.repeat(w))), ...rows.map(line)].join('\n');
}

/** How wide the output may be, and whether it may have colours. */
export interface Look {
  readonly width?: number;
  readonly colour?: boolean;
}

const colours = { gain: 32, loss: 31, equivalent: 36, inconclusive: 33 } as const;

const verdictText = (row: CompareRow, { colour }: Look): string =>
  row.verdict === null ? '' : colour ? `\u001b[${colours[row.verdict]}m${row.verdict}\u001b[0m` : row.verdict;

function estimateCell({ estimate: e }: CompareRow, decimals: number): string {
  if (!e) return 'diverged';
  return Number.isFinite(e.low) ? `${e.mean.toFixed(decimals)} \u00b1 ${(e.high - e.mean).toFixed(decimals)}` : e.mean.toFixed(decimals);
}

function differenceCell({ difference: d }: CompareRow, isBaseline: boolean, decimals: number): string {
  if (isBaseline) return 'baseline';
  if (!d) return 'no pairs';
  const mean = signed(d.mean, decimals);
  return Number.isFinite(d.low) ? `${mean} [${signed(d.low, decimals)}, ${signed(d.high, decimals)}]` : mean;
}

/** What a reader must know to read the result right. */
function notesOf({ rows, metric, seeds, better, margin, baseline }: CompareSummary, decimals: number): string[] {
  const notes = [
    `${metric}: ${better} is better; mean \u00b1 half of the 95% interval over ${seeds.length} seed${seeds.length === 1 ? '' : 's'}. Differences to ${baseline} are paired by seed; within \u00b1${margin} they count as equivalent. Tokens, FLOPs and training seconds are per run.`,
  ];
  const open = rows.flatMap(({ method, verdict, difference: d }) =>
    verdict === 'inconclusive' && d && Number.isFinite(d.minimum_detectable_effect)
      ? [`${d.minimum_detectable_effect.toFixed(decimals)} for ${method}`]
      : [],
  );
  if (open.length > 0)
    notes.push(`With 80% power these seeds would find a difference of ${open.join(', of ')}; use more seeds for smaller ones.`);
  for (const { method, diverged, values } of rows)
    if (diverged > 0) notes.push(`${method}: ${diverged} of ${values.length} runs diverged and are left out.`);
  const untuned = rows.filter((r) => !r.tuned).map((r) => r.method);
  if (untuned.length > 0)
    notes.push(
      `Learning rate not tuned on this testbed for ${untuned.join(', ')}: that of the optimizer is used (--tune runs the protocol).`,
    );
  if (seeds.length < 3) notes.push('Fewer than 3 seeds decide little: use --seeds 5.');
  return notes;
}

/** The result of a comparison for people: a table, or blocks of lines where the terminal is too narrow for it. */
export function compareTable(summary: CompareSummary, look: Look = {}): string {
  const { rows, metric, baseline } = summary;
  const width = look.width ?? 120;
  const decimals = decimalsFor(rows.flatMap((r) => [r.estimate, r.difference].map((e) => (e ? e.high - e.mean : Number.NaN))));
  const header = ['method', metric, 'difference (95% interval)', 'verdict', 'tokens', 'FLOPs', 'seconds'];
  const body = rows.map((row) => [
    row.method,
    estimateCell(row, decimals),
    differenceCell(row, row.method === baseline, decimals),
    verdictText(row, look),
    si(row.tokens),
    si(row.flops),
    row.train_seconds.toFixed(1),
  ]);
  const wide = table(header, body, { left: [0, 3] });
  const labels = header.slice(1).map((h) => h.replace(/ \(.*/, ''));
  const names = Math.max(...labels.map((l) => l.length));
  const narrow = body.map(([method, ...cells]) =>
    [method, ...cells.flatMap((c, i) => (c === '' ? [] : `  ${(labels[i] as string).padEnd(names)}  ${c}`))].join('\n'),
  );
  const isWide = wide.split('\n').every((line) => widthOf(line) <= width);
  const others = rows.slice(1).map((r) => r.method);
  const title = `${summary.testbed}: ${others.length > 0 ? `${others.join(', ')} against ${baseline}` : baseline}`;
  const notes = notesOf(summary, decimals).map((note) => wrap(note, Math.min(width, 110), 0));
  return `${title}\n\n${isWide ? wide : narrow.join('\n\n')}\n\n${notes.join('\n')}\nReport: ${summary.out}/report.html`;
}
