import type { Ledger } from '../../contracts/index.js';
import type { CompareSummary } from '../compare.js';
import type { CompareRow } from '../rows.js';
import { type Content, type Html, html } from './html.js';
import { mark } from './lineChart.js';
import { bytes, decimalsFor, si, signed } from './numbers.js';

const minus = '\u2212';

/** How many decimals the metric's intervals deserve. */
export const metricDecimals = ({ rows }: Pick<CompareSummary, 'rows'>): number =>
  decimalsFor(rows.flatMap((r) => [r.estimate, r.difference].map((e) => (e ? e.high - e.mean : Number.NaN))));

/** Line and mark of a method, as in the charts. */
export const swatch = (index: number): Html =>
  html`<svg class="swatch${index >= 8 ? ' second-lap' : ''}" viewBox="0 0 26 12" aria-hidden="true"><path class="line s${index % 8}" d="M0 6H26"/>${mark(index, 13, 6, 4.5)}</svg>`;

const signText = (x: number, decimals: number): string => signed(x, decimals, minus);

function estimateCell({ estimate: e }: CompareRow, decimals: number): Content {
  if (!e) return 'diverged';
  const interval = Number.isFinite(e.low) && `${e.low.toFixed(decimals)} to ${e.high.toFixed(decimals)}`;
  return html`${e.mean.toFixed(decimals)}<small>${interval || 'one run'}</small>`;
}

function differenceCell({ difference: d }: CompareRow, isBaseline: boolean, decimals: number): Content {
  if (isBaseline) return 'baseline';
  if (!d) return 'no pairs';
  const interval = Number.isFinite(d.low) ? `${signText(d.low, decimals)} to ${signText(d.high, decimals)}` : 'one pair';
  return html`${signText(d.mean, decimals)}<small>${interval}</small>`;
}

const pText = (p: number | null): string => (p === null || !Number.isFinite(p) ? '' : p < 0.001 ? '< 0.001' : p.toFixed(3));

/** The table of results with the notes that qualify them. */
export function resultsSection(summary: CompareSummary): Html {
  const { rows, metric, better, baseline, margin, seeds, parallel, threads } = summary;
  const decimals = metricDecimals(summary);
  const header = html`<tr><th scope="col">method</th><th scope="col">${metric}<small>95% interval</small></th><th scope="col">difference<small>95% interval</small></th><th scope="col">verdict</th><th scope="col">p<small>Holm</small></th><th scope="col">tokens</th><th scope="col">FLOPs</th><th scope="col">training<small>seconds</small></th><th scope="col">diverged<small>of ${seeds.length}</small></th></tr>`;
  const body = rows.map(
    (row, i) =>
      html`<tr><th scope="row">${swatch(i)}${row.method}</th><td>${estimateCell(row, decimals)}</td><td>${differenceCell(row, row.method === baseline, decimals)}</td><td class="${row.verdict ?? ''}">${row.verdict ?? ''}</td><td>${pText(row.p_holm)}</td><td>${si(row.tokens)}</td><td>${si(row.flops)}</td><td>${row.train_seconds.toFixed(1)}</td><td>${row.diverged}</td></tr>`,
  );
  const notes: Content[] = [
    `${metric}: ${better} is better. Mean over the seeds with a 95% Student-t interval; differences are method minus ${baseline}, paired by seed.`,
    `Verdicts: gain or loss where p < 0.05 after Holm's correction over the methods; equivalent where the whole interval lies within \u00b1${margin}, the margin below which this testbed calls differences unimportant; else inconclusive.`,
    `Tokens, FLOPs (model and optimizer, validation included) and training seconds (compilation included) are means per run; up to ${parallel} run${parallel === 1 ? '' : 's'} side by side on ${threads} thread${threads === 1 ? '' : 's'} each. Seconds depend on what else the machine did.`,
  ];
  const open = rows.flatMap(({ method, verdict, difference: d }) =>
    verdict === 'inconclusive' && d && Number.isFinite(d.minimum_detectable_effect)
      ? [`${d.minimum_detectable_effect.toFixed(decimals)} for ${method}`]
      : [],
  );
  if (open.length > 0)
    notes.push(`True differences that these seeds would find in 80% of cases: ${open.join(', ')}; smaller ones less often.`);
  for (const { method, diverged } of rows)
    if (diverged > 0)
      notes.push(`${method}: ${diverged} of ${seeds.length} runs diverged and are left out of mean, difference and curves.`);
  if (seeds.length < 3) notes.push('Fewer than three seeds decide little.');
  return html`<section><h2>Results</h2>
<div class="wide" tabindex="0" role="region" aria-label="Results"><table class="full"><thead>${header}</thead><tbody>${body}</tbody></table></div>
<ul class="note">${notes.map((n) => html`<li>${n}</li>`)}</ul></section>`;
}

const count = (unit: string) => (v: number) => `${si(v)}${unit}`;
const ledgerLines: Readonly<Record<keyof Ledger, readonly [label: string, text: (v: number) => string]>> = {
  tokens_trained: ['tokens trained', count('')],
  tokens_generated: ['tokens generated', count('')],
  tokens_evaluated: ['tokens scored for validation', count('')],
  model_flops: ['model: forward, backward, validation (FLOP)', count('')],
  optimizer_flops: ['optimizer (FLOP)', count('')],
  train_seconds: ['training steps (seconds, compilation included)', (v) => v.toFixed(1)],
  wall_seconds: ['whole run (seconds, validation included)', (v) => v.toFixed(1)],
  peak_rss_bytes: ['peak resident memory of the process', bytes],
};

/** What each method cost, and how many times the baseline's. */
export function ledgerSection({ rows, baseline }: CompareSummary): Html {
  const base = rows[0]?.ledger;
  const known = Object.keys(ledgerLines);
  const order = (key: string): number => (known.includes(key) ? known.indexOf(key) : known.length);
  const keys = (Object.keys(base ?? {}) as (keyof Ledger)[]).sort((a, b) => order(a) - order(b));
  const ratio = (value: number, of: number, isBase: boolean): Content =>
    !isBase && of > 0 && html`<small>\u00d7${(value / of).toFixed(2)}</small>`;
  const lines = keys.map((key) => {
    const [label, text] = ledgerLines[key] ?? [key.replaceAll('_', ' '), count('')];
    return html`<tr><th scope="row" class="key">${label}</th>${rows.map((r, i) => html`<td>${text(r.ledger[key] ?? 0)}${base && ratio(r.ledger[key] ?? 0, base[key] ?? 0, i === 0)}</td>`)}</tr>`;
  });
  return html`<section><h2>Cost ledger</h2><p class="note">Means per run, diverged runs included; \u00d7 is the multiple of ${baseline}. Runs that shared a process share its peak memory.</p>
<div class="wide" tabindex="0" role="region" aria-label="Cost ledger"><table><thead><tr><th scope="col"></th>${rows.map((r) => html`<th scope="col">${r.method}</th>`)}</tr></thead><tbody>${lines}</tbody></table></div></section>`;
}
