import type { Estimate } from '../../evaluate/statistics.js';
import type { CompareSummary } from '../compare.js';
import { type Html, html } from './html.js';
import { mark } from './lineChart.js';
import { type Scale, scaleOf, spanOf, tickLabels, ticks } from './scale.js';

const width = 480;
const rowHeight = 46;
const top = 14;
const fixed = (x: number): string => String(Math.round(x * 10) / 10);

interface RowFrame {
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  readonly yOf: (row: number) => number;
}

const shorten = (name: string): string => (name.length > 18 ? `${name.slice(0, 17)}\u2026` : name);

function frameOf(names: readonly string[], marginRight: number): RowFrame {
  const longest = Math.max(...names.map((n) => shorten(n).length));
  return {
    left: Math.min(170, 26 + 8.4 * longest),
    right: width - marginRight,
    bottom: top + names.length * rowHeight,
    yOf: (row) => top + (row + 0.5) * rowHeight,
  };
}

/** Row names to the left and a scale below. */
function scaffold(frame: RowFrame, names: readonly string[], domain: readonly [number, number], title: string, titleBelow = 38): Html {
  const x = scaleOf(domain, [frame.left, frame.right]);
  const values = ticks(domain, 5);
  return html`<g class="grid">${values.map((v) => html`<path d="M${fixed(x(v))} ${top}V${frame.bottom}"/>`)}</g>
<path class="axis" d="M${frame.left} ${frame.bottom}H${frame.right}"/>
<g class="ticks x">${tickLabels(values).map((t, i) => html`<text x="${fixed(x(values[i] as number))}" y="${frame.bottom + 18}">${t}</text>`)}</g>
<g class="ticks y name">${names.map((n, i) => html`<text x="${frame.left - 14}" y="${fixed(frame.yOf(i) + 4)}">${shorten(n)}<title>${n}</title></text>`)}</g>
<text class="axis-title" x="${(frame.left + frame.right) / 2}" y="${frame.bottom + titleBelow}">${title}</text>`;
}

/** An interval with end strokes; an end beyond the plot has none, and stops at its edge. */
function whisker(index: number, x: Scale, e: Estimate, y: number): Html {
  const [first, last] = x.domain;
  const from = Math.max(e.low, first);
  const to = Math.min(e.high, last);
  const end = (value: number, shown: boolean): string => (shown ? `M${fixed(x(value))} ${fixed(y - 4)}v8` : '');
  return html`<path class="whisker s${index % 8}" d="M${fixed(x(from))} ${fixed(y)}H${fixed(x(to))}${end(from, from === e.low)}${end(to, to === e.high)}"/>`;
}

/** The span of the points, widened to hold intervals as long as these leave the points a third of it. */
function domainOf(points: readonly number[], intervals: readonly (Estimate | null)[]): readonly [number, number] {
  const [low, high] = spanOf(points, 0.08);
  const room = high - low;
  const ends = intervals.flatMap((e) => (e && Number.isFinite(e.low) ? [Math.max(e.low, low - room), Math.min(e.high, high + room)] : []));
  return spanOf([low, high, ...ends], 0.03);
}

/** The final metric of every run: a dot a seed, the runs of one seed joined, mean and interval below the dots. */
export function drawSeeds(summary: CompareSummary): Html {
  const { rows, seeds, metric, better } = summary;
  const names = rows.map((r) => r.method);
  const frame = frameOf(names, 20);
  const dots = rows.flatMap((r) => r.values.filter((v) => v !== null));
  const domain = domainOf(
    dots,
    rows.map((r) => r.estimate),
  );
  const x = scaleOf(domain, [frame.left, frame.right]);
  const yDots = (row: number): number => frame.yOf(row) - 7;
  const joins = seeds.map((_, s) => {
    const points = rows.flatMap((r, i) => {
      const v = r.values[s];
      return typeof v === 'number' ? [`${fixed(x(v))} ${fixed(yDots(i))}`] : [];
    });
    return html`<path class="join" d="${points.map((p, i) => (i === 0 ? 'M' : 'L') + p).join('')}"/>`;
  });
  const marks = rows.map((row, i) => [
    row.values.map(
      (v, s) => v !== null && mark(i, x(v), yDots(i), 4, html`<title>${row.method}, seed ${seeds[s]}: ${v.toFixed(5)}</title>`),
    ),
    row.estimate && [
      Number.isFinite(row.estimate.low) && whisker(i, x, row.estimate, frame.yOf(i) + 9),
      html`<path class="mean s${i % 8}" d="M${fixed(x(row.estimate.mean))} ${fixed(frame.yOf(i) + 3)}v12"/>`,
    ],
  ]);
  const spoken = rows.map((r) => `${r.method} ${r.values.map((v) => v?.toFixed(3) ?? 'diverged').join(', ')}`).join('; ');
  return html`<svg viewBox="0 0 ${width} ${frame.bottom + 46}" role="img" aria-label="Final ${metric} by seed: ${spoken}">
${scaffold(frame, names, domain, `final ${metric} (${better} is better)`)}${joins}${marks}</svg>`;
}

/** Differences to the baseline, pair by pair, with mean, interval, and the margin within which they do not matter. */
export function drawDifferences(summary: CompareSummary): Html | undefined {
  const { rows, seeds, metric, better, baseline, margin } = summary;
  const base = rows[0];
  const compared = rows.flatMap((row, index) => (row.difference ? [{ row, index, difference: row.difference }] : []));
  if (!base || compared.length === 0) return undefined;
  const pairs = compared.map(({ row }) =>
    row.values.map((v, s) => {
      const b = base.values[s];
      return typeof v === 'number' && typeof b === 'number' ? v - b : null;
    }),
  );
  const points = pairs.flat().filter((v) => v !== null);
  const reach = Math.max(...points.map(Math.abs), margin <= 0 ? 1e-9 : 0);
  const edge = margin <= 2 * reach ? [margin, -margin] : [];
  const domain = domainOf(
    [0, ...points, ...edge],
    compared.map(({ difference }) => difference),
  );
  const names = compared.map(({ row }) => row.method);
  const frame = frameOf(names, 96);
  const x = scaleOf(domain, [frame.left, frame.right]);
  const clamp = (v: number): number => Math.min(frame.right, Math.max(frame.left, x(v)));
  const zone = html`<rect class="zone" x="${fixed(clamp(-margin))}" y="${top}" width="${fixed(clamp(margin) - clamp(-margin))}" height="${frame.bottom - top}"/>`;
  const marks = compared.map(({ row, index, difference: d }, i) => [
    (pairs[i] ?? []).map(
      (v, s) =>
        v !== null &&
        mark(index, x(v), frame.yOf(i) - 7, 4, html`<title>${row.method} minus ${baseline}, seed ${seeds[s]}: ${v.toFixed(5)}</title>`),
    ),
    Number.isFinite(d.low) && whisker(index, x, d, frame.yOf(i) + 9),
    html`<path class="mean s${index % 8}" d="M${fixed(x(d.mean))} ${fixed(frame.yOf(i) + 3)}v12"/>`,
    html`<text class="verdict-label" x="${frame.right + 10}" y="${fixed(frame.yOf(i) + 4)}">${row.verdict}</text>`,
  ]);
  const zero = html`<path class="zero" d="M${fixed(x(0))} ${top}V${frame.bottom}"/>`;
  const [left, right] = better === 'lower' ? ['\u2190 better', 'worse \u2192'] : ['\u2190 worse', 'better \u2192'];
  const spoken = compared.map(({ row, difference: d }) => `${row.method} ${d.mean.toFixed(3)}, ${row.verdict}`).join('; ');
  return html`<svg viewBox="0 0 ${width} ${frame.bottom + 64}" role="img" aria-label="Difference of ${metric} to ${baseline}: ${spoken}">
${zone}${scaffold(frame, names, domain, `difference to ${baseline}`, 56)}${zero}${marks}
<text class="side" x="${frame.left}" y="${frame.bottom + 38}">${left}</text><text class="side end" x="${frame.right}" y="${frame.bottom + 38}">${right}</text></svg>`;
}
