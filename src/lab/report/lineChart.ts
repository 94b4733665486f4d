import { type Axis, axes, type Curve, type CurvePoint } from './curves.js';
import { type Content, type Html, html } from './html.js';
import { si } from './numbers.js';
import { type Scale, scaleOf, spanOf, tickLabels, ticks } from './scale.js';

/** A method's curve in a chart. */
export interface Line {
  readonly name: string;
  /** which colour */
  readonly index: number;
  readonly curve: Curve;
  /** whether the last point was measured in another way, and stands apart */
  readonly endsApart: boolean;
}

export interface LineChart {
  readonly id: string;
  readonly label: string;
  readonly lines: readonly Line[];
  /** whether every point gets a mark */
  readonly marked: boolean;
}

/** Parts of a run that a chart can show. */
export const ranges = { all: 'whole run', late: 'second half' } as const;
export type Range = keyof typeof ranges;

const axisTitles: Readonly<Record<Axis, string>> = {
  tokens: 'tokens trained',
  flops: 'floating-point operations',
  seconds: 'training time, seconds',
};

const width = 480;
const height = 300;
const plot = { left: 54, right: width - 22, top: 12, bottom: height - 46 } as const;
const fixed = (x: number): string => String(Math.round(x * 10) / 10);

const pathOf = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${fixed(x)} ${fixed(y)}`).join('');

/** The mark of a method: circle, square, triangle or diamond, so that colour is not the only difference. */
export function mark(index: number, x: number, y: number, r: number, more: Content = ''): Html {
  const kind = index % 4;
  const shape = `s${index % 8}`;
  if (kind === 0) return html`<circle class="mark ${shape}" cx="${fixed(x)}" cy="${fixed(y)}" r="${r}">${more}</circle>`;
  const polygon = (
    [
      [
        [-0.9, -0.9],
        [0.9, -0.9],
        [0.9, 0.9],
        [-0.9, 0.9],
      ],
      [
        [0, -1.2],
        [1.15, 0.85],
        [-1.15, 0.85],
      ],
      [
        [0, -1.3],
        [1.2, 0],
        [0, 1.3],
        [-1.2, 0],
      ],
    ] as const
  )[kind - 1] as readonly (readonly [number, number])[];
  const d = `${pathOf(polygon.map(([a, b]) => [x + a * r, y + b * r] as const))}Z`;
  return html`<path class="mark ${shape}" d="${d}">${more}</path>`;
}

function band(points: readonly CurvePoint[], x: Scale, y: Scale, axis: Axis): string {
  const known = points.filter((p) => Number.isFinite(p.low));
  // far outside of the plot is as good as infinitely far: keeps two-seed bands, which are huge, out of the path's numbers
  const clamp = (v: number): number => Math.min(2 * height, Math.max(-height, y(v)));
  const upper = known.map((p) => [x(p.x[axis]), clamp(p.high)] as const);
  const lower = known.map((p) => [x(p.x[axis]), clamp(p.low)] as const);
  return known.length < 2 ? '' : `${pathOf([...upper, ...lower.reverse()])}Z`;
}

/** One line: band, faint raw mean, mean, marks, and the last point with its interval. */
function drawLine({ index, curve, endsApart }: Line, x: Scale, y: Scale, axis: Axis, chart: LineChart): Html {
  const at = (p: CurvePoint): readonly [number, number] => [x(p.x[axis]), y(p.mean)];
  const shown = (points: readonly CurvePoint[]): readonly CurvePoint[] => {
    const from = points.findIndex((p) => p.x[axis] >= x.domain[0]);
    return from < 0 ? [] : points.slice(Math.max(0, from - 1));
  };
  const points = shown(curve.points);
  const last = points.at(-1);
  const body = endsApart ? points.slice(0, -1) : points;
  const before = body.at(-1);
  // last points at the same place stand side by side, so that their intervals can be told apart
  const aside = axis === 'seconds' ? 0 : (index - (chart.lines.length - 1) / 2) * Math.min(7, 28 / chart.lines.length);
  const atEnd = (p: CurvePoint, value = p.mean): readonly [number, number] => [x(p.x[axis]) + aside, y(value)];
  const colour = `s${index % 8}`;
  return html`<g class="${index >= 8 ? 'second-lap' : ''}"><path class="band ${colour}" d="${band(body, x, y, axis)}"/>${
    curve.raw.length > 0 && html`<path class="raw ${colour}" d="${pathOf(shown(curve.raw).map(at))}"/>`
  }<path class="line ${colour}" d="${pathOf(body.map(at))}"/>${chart.marked && body.map((p) => mark(index, ...at(p), 3))}${
    endsApart &&
    last && [
      before && html`<path class="bridge ${colour}" d="${pathOf([at(before), atEnd(last)])}"/>`,
      Number.isFinite(last.low) && html`<path class="whisker ${colour}" d="${pathOf([atEnd(last, last.low), atEnd(last, last.high)])}"/>`,
      mark(index, ...atEnd(last), 5),
    ]
  }</g>`;
}

/** Where a chart's plot area lies and what it spans; the page's script reads values off it. */
export interface Frame {
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
}

function frameOf(chart: LineChart, axis: Axis, range: Range): Frame {
  const all = chart.lines.flatMap(({ curve }) => curve.points);
  const end = Math.max(0, ...all.map((p) => p.x[axis]));
  const start = range === 'late' ? end / 2 : 0;
  const late = all.filter((p) => p.x[axis] >= start);
  const seen = late.length > 0 ? late : all;
  const [low, high] = spanOf(
    seen.map((p) => p.mean),
    0.05,
  );
  // bands show whole as long as they leave the curves half of the plot
  const room = (high - low) / 2;
  const reach = seen.flatMap((p) => (Number.isFinite(p.low) ? [Math.max(p.low, low - room), Math.min(p.high, high + room)] : []));
  return { x: [start, end], y: spanOf([low, high, ...reach], 0) };
}

function axesOf(frame: Frame, x: Scale, y: Scale, axis: Axis, label: string): Html {
  const xs = ticks(frame.x, 5);
  const ys = ticks(frame.y, 6);
  const xLabels =
    axis === 'seconds' ? tickLabels(xs) : xs.map((v) => si(v).replace(/\.(\d*?)0+(?=\D|$)/, (_, kept) => (kept === '' ? '' : `.${kept}`)));
  return html`<g class="grid">${ys.map((v) => html`<path d="M${plot.left} ${fixed(y(v))}H${plot.right}"/>`)}</g>
<path class="axis" d="M${plot.left} ${plot.bottom}H${plot.right}"/>
<g class="ticks y">${tickLabels(ys).map((text, i) => html`<text x="${plot.left - 8}" y="${fixed(y(ys[i] as number) + 4)}">${text}</text>`)}</g>
<g class="ticks x">${xLabels.map((text, i) => {
    const at = x(xs[i] as number);
    return html`<path d="M${fixed(at)} ${plot.bottom}v4"/><text x="${fixed(at)}" y="${plot.bottom + 18}">${text}</text>`;
  })}</g>
<text class="axis-title" x="${(plot.left + plot.right) / 2}" y="${height - 8}">${label}</text>`;
}

/** A chart along one axis over one part of the run, as an SVG. */
function drawChart(chart: LineChart, axis: Axis, range: Range): Html {
  const frame = frameOf(chart, axis, range);
  const x = scaleOf(frame.x, [plot.left, plot.right]);
  const y = scaleOf(frame.y, [plot.bottom, plot.top]);
  const clip = `clip-${chart.id}-${axis}-${range}`;
  const spoken = chart.lines.map(({ name, curve }) => `${name} ends at ${curve.points.at(-1)?.mean.toFixed(3) ?? 'no value'}`).join(', ');
  return html`<svg class="x-${axis} r-${range}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${chart.label} over ${axisTitles[axis]}, ${ranges[range]}: ${spoken}" data-chart="${chart.id}" data-axis="${axis}" data-frame="${JSON.stringify(frame)}">
<clipPath id="${clip}"><rect x="${plot.left}" y="${plot.top - 8}" width="${width - plot.left}" height="${plot.bottom - plot.top + 8}"/></clipPath>
${axesOf(frame, x, y, axis, axisTitles[axis])}
<g clip-path="url(#${clip})">${chart.lines.map((line) => drawLine(line, x, y, axis, chart))}</g>
</svg>`;
}

/** A chart in all its variants; the page's style shows one of them. */
export const drawVariants = (chart: LineChart): Html =>
  html`${axes.map((axis) => (Object.keys(ranges) as Range[]).map((range) => drawChart(chart, axis, range)))}`;

/** What the script needs to name the values under the pointer. */
export const chartData = (charts: readonly LineChart[]): unknown => ({
  plot,
  width,
  charts: Object.fromEntries(
    charts.map(({ id, lines }) => [
      id,
      lines.map(({ name, index, curve }) => ({
        name,
        index,
        points: curve.points.map((p) => [...axes.map((a) => Number(p.x[a].toPrecision(5))), p.mean, p.low, p.high].map(rounded)),
      })),
    ]),
  ),
  axes,
});

const rounded = (v: number): number | null => (Number.isFinite(v) ? Number(v.toPrecision(6)) : null);
