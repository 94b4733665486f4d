import type { CompareSummary } from '../lab/compare.js';
import type { CompareRow } from '../lab/rows.js';

/** Seconds as "42s", "3m 05s" or "2h 07m". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const pad = (n: number): string => String(n).padStart(2, '0');
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
}

/** A count with an SI suffix and three digits: 1.02M, 4.1T. */
export function si(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
  let unit = 0;
  let v = value;
  while (Math.abs(v) >= 999.5 && unit < units.length - 1) {
    v /= 1000;
    unit++;
  }
  return `${unit === 0 ? String(Math.round(v * 100) / 100) : v.toPrecision(3)}${units[unit]}`;
}

/** Aligned columns: the first to the left, the others to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((h, i) => Math.max(h.length, ...rows.map((r) => (r[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((c, i) => (i === 0 ? c.padEnd(widths[i] as number) : c.padStart(widths[i] as number)))
      .join('   ')
      .trimEnd();
  return [line(header), line(widths.map((w) => '-'.repeat(w))), ...rows.map(line)].join('\n');
}

const signed = (x: number): string => `${x >= 0 ? '+' : ''}${x.toFixed(3)}`;

function estimateCell({ estimate: e }: CompareRow): string {
  if (!e) return 'diverged';
  return Number.isNaN(e.low) ? e.mean.toFixed(3) : `${e.mean.toFixed(3)} +- ${(e.high - e.mean).toFixed(3)}`;
}

function differenceCell({ difference: d }: CompareRow, isBaseline: boolean): string {
  if (isBaseline) return 'baseline';
  if (!d) return 'no pairs';
  return Number.isNaN(d.low) ? signed(d.mean) : `${signed(d.mean)} [${signed(d.low)}, ${signed(d.high)}]`;
}

/** The result of a comparison for people. */
export function compareTable(summary: CompareSummary): string {
  const { rows, metric, baseline, seeds, better, margin } = summary;
  const body = rows.map((row) => [
    row.method,
    estimateCell(row),
    differenceCell(row, row.method === baseline),
    row.verdict ?? '',
    si(row.tokens),
    si(row.flops),
    row.train_seconds.toFixed(1),
  ]);
  const notes = [
    `${metric}, ${better} is better: mean +- half of the 95% interval over ${seeds.length} seed${seeds.length === 1 ? '' : 's'} (Student t). Differences are paired by seed.`,
    `Differences inside +-${margin} count as equivalent. Tokens, FLOPs and training seconds are per run.`,
  ];
  for (const row of rows) {
    const d = row.difference;
    if (row.verdict === 'inconclusive' && d && Number.isFinite(d.minimum_detectable_effect))
      notes.push(
        `${row.method}: these seeds would find a difference of ${d.minimum_detectable_effect.toFixed(3)} with 80% power; use more seeds for a smaller one.`,
      );
    if (row.diverged > 0) notes.push(`${row.method}: ${row.diverged} of ${row.values.length} runs diverged and are left out.`);
    if (!row.tuned)
      notes.push(
        `${row.method}: learning rate not tuned for it on this testbed; that of its optimizer is used (--tune runs the protocol).`,
      );
  }
  if (seeds.length < 3) notes.push('Fewer than 3 seeds decide little: use --seeds 5.');
  const title = `${summary.testbed}: ${rows.map((r) => r.method).join(' against ')}`;
  const header = ['method', metric, `difference to ${baseline} (95% interval)`, 'verdict', 'tokens', 'FLOPs', 'seconds'];
  return `${title}\n\n${table(header, body)}\n\n${notes.join('\n')}\nResults: ${summary.out} (open report.html)`;
}
