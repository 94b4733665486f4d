import type { CompareSummary } from '../compare.js';
import { type Curve, curveOf } from './curves.js';
import { Html, html, jsonScript } from './html.js';
import { chartData, drawVariants, type LineChart, ranges } from './lineChart.js';
import type { RunData } from './readRuns.js';
import { swatch } from './resultsSection.js';
import { drawDifferences, drawSeeds } from './seedCharts.js';

const choice = (group: string, id: string, label: string, on: boolean): { input: Html; label: Html } => ({
  input: html`<input class="switch" type="radio" name="${group}" id="${id}"${on ? new Html(' checked') : ''}>`,
  label: html`<label for="${id}">${label}</label>`,
});

/** Final metrics seed by seed and their differences. */
export function seedsSection(summary: CompareSummary): Html {
  const differences = drawDifferences(summary);
  return html`<section><h2>Seed by seed</h2><div class="figures">
<figure><h3>Final ${summary.metric}</h3>${drawSeeds(summary)}<figcaption>A mark is a run; grey lines join the runs of one seed, which share initial parameters and order of data. Below: mean and 95% interval.</figcaption></figure>
${differences && html`<figure><h3>Paired differences</h3>${differences}<figcaption>A mark is the difference within one seed. Below: mean and 95% interval. Shaded: the margin of \u00b1${summary.margin} within which differences count as equivalent.</figcaption></figure>`}
</div></section>`;
}

function smoothingText(curves: readonly Curve[]): string {
  const smoothed = curves.find((c) => c.window > 1);
  if (!smoothed) return 'Not smoothed.';
  return `Each seed is smoothed by a centred mean over ${smoothed.window} lines of the log (of ${smoothed.lines}; a line every ${smoothed.spacing === 1 ? 'step' : `${smoothed.spacing} steps`}, narrower at both ends) before mean and band are taken; the faint line is the mean without smoothing.`;
}

/** Validation and training curves with bands. */
export function curvesSection(summary: CompareSummary, runs: readonly RunData[]): Html | undefined {
  const { rows, metric } = summary;
  const of = (method: string): RunData[] => runs.filter((r) => r.record?.method === method);
  const lines = (name: string, smoothed: boolean): LineChart['lines'] =>
    rows.flatMap(({ method }, index) => {
      const curve = curveOf(of(method), name, { smoothed });
      // the last value of the metric is the full measurement at the end, the others are quick ones on the way
      return curve.points.length === 0 ? [] : [{ name: method, index, curve, endsApart: !smoothed }];
    });
  // the loss of reinforcement learning says nothing; what its samples earn does
  const rewards = lines('reward', true);
  const isRewarded = rewards.length > 0;
  const charts: LineChart[] = [
    { id: 'validation', label: metric, lines: lines(metric, false), marked: true },
    {
      id: 'training',
      label: isRewarded ? 'reward in training' : 'training loss',
      lines: isRewarded ? rewards : lines('loss', true),
      marked: false,
    },
  ].filter((c) => c.lines.length > 0);
  if (charts.length === 0) return undefined;
  const captions: Readonly<Record<string, string>> = {
    validation: `Mean over the seeds, band: 95% interval. Points on the way may use a leading part of the validation data; the last, set apart, is the full measurement of the table.`,
    training: `${isRewarded ? 'Of the completions of a step' : 'In nats per token'}, mean over the seeds, band: 95% interval. ${smoothingText(charts.find((c) => c.id === 'training')?.lines.map((l) => l.curve) ?? [])}`,
  };
  const axis = [
    choice('axis', 'axis-tokens', 'tokens', true),
    choice('axis', 'axis-flops', 'FLOPs', false),
    choice('axis', 'axis-seconds', 'seconds', false),
  ];
  const range = [choice('range', 'range-all', ranges.all, true), choice('range', 'range-late', ranges.late, false)];
  return html`<section><h2>Curves</h2>${[...axis, ...range].map((c) => c.input)}
<div class="controls"><span>along ${axis.map((c) => c.label)}</span><span>show ${range.map((c) => c.label)}</span></div>
<ul class="legend">${rows.map((r, i) => html`<li>${swatch(i)}${r.method}</li>`)}</ul>
<div class="figures">${charts.map(
    (chart) =>
      html`<figure><h3>${chart.label}</h3><div class="variants">${drawVariants(chart)}</div><div class="tip" hidden></div><figcaption>${captions[chart.id]}</figcaption></figure>`,
  )}</div>
<p class="note">FLOPs: a run's total, validation included, spread evenly over its tokens. Seconds: time of the training steps, compilation included, validation left out; mean over the seeds. Bands that would dwarf the curves, as with two seeds, run out of the plot.</p>
${jsonScript('curves', chartData(charts))}</section>`;
}
