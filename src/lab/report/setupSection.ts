import type { CompareSummary } from '../compare.js';
import { flatten } from './flatten.js';
import { type Html, html } from './html.js';
import { bytes, duration } from './numbers.js';
import type { RunData } from './readRuns.js';

const terms = (entries: readonly (readonly [string, string])[]): Html =>
  html`<dl>${entries.map(([k, v]) => html`<dt>${k}</dt><dd>${v}</dd>`)}</dl>`;

/** Model, budget and data; where methods differ in them (other step counts at equal cost), each method's own value. */
function taskEntries(summary: CompareSummary, runs: readonly RunData[]): [string, string][] {
  const byMethod = summary.rows.map(({ method }) => ({
    method,
    task: new Map(flatten(runs.find((r) => r.record?.method === method)?.record?.task ?? summary.task)),
  }));
  const keys = [...new Set(byMethod.flatMap(({ task }) => [...task.keys()]))];
  return keys.map((key) => {
    const values = byMethod.map(({ task }) => task.get(key) ?? '\u2013');
    const same = values.every((v) => v === values[0]);
    return [key, same ? (values[0] as string) : byMethod.map(({ method }, i) => `${method}: ${values[i]}`).join('; ')];
  });
}

/** Testbed, tuning, versions and machine. */
export function setupSection(summary: CompareSummary, runs: readonly RunData[]): Html {
  const { testbed, rows, protocol, versions, machine, seeds, threads, parallel, margin } = summary;
  const untuned = rows.filter((r) => !r.tuned).map((r) => r.method);
  const tuned = rows.filter((r) => r.tuned).map((r) => r.method);
  const hardware = Object.fromEntries(flatten(machine));
  const machineText = [
    hardware.cpu,
    hardware.cores && `${hardware.cores} cores`,
    hardware.memory_bytes && `${bytes(Number(hardware.memory_bytes))} memory`,
    [hardware.platform, hardware.arch].filter(Boolean).join(' '),
  ];
  return html`<section><h2>Tuning</h2><p>${protocol}</p>
${terms([
  ['tuned on this testbed', tuned.length > 0 ? tuned.join(', ') : 'none'],
  ['not tuned', untuned.length > 0 ? `${untuned.join(', ')} (with what was found for the optimizer alone, else its defaults)` : 'none'],
])}</section>
<section><h2>Testbed ${testbed}</h2><p>${summary.summary}</p>
${terms([
  ['equal cost in', summary.cost],
  ['margin of equivalence', `\u00b1${margin} ${summary.metric}`],
  ['seeds', seeds.join(', ')],
  ...taskEntries(summary, runs),
])}</section>
<section><h2>Versions and machine</h2>
${terms([
  ...flatten(versions),
  ['machine', machineText.filter(Boolean).join(', ')],
  ['execution', `${threads} thread${threads === 1 ? '' : 's'} a run, up to ${parallel} side by side`],
])}</section>`;
}

/** The command, and where the raw results of every run lie. */
export function reproduceSection(summary: CompareSummary, runs: readonly RunData[]): Html {
  const rows = runs.map(({ record }, i) => {
    const folder = summary.runs[i] ?? '';
    const value = record?.result[summary.metric];
    return html`<tr><th scope="row">${record?.method ?? folder}</th><td>${record?.seed}</td><td>${record?.status ?? 'unknown'}</td><td>${value?.toFixed(5)}</td><td>${record && duration(record.ledger.wall_seconds)}</td><td><a href="./${encodeURIComponent(folder)}/run.json"><code>${folder}</code></a></td></tr>`;
  });
  return html`<section><h2>Reproduce</h2><pre>${summary.command}</pre>
<p class="note">Parameters, batches and all random choices follow from the seed. The same versions on the same kind of machine give the same figures to the bit, times apart; finished runs in the results folder are taken over, and <code>--fresh</code> does them again.</p>
<h3>Runs</h3><div class="wide" tabindex="0" role="region" aria-label="Runs"><table><thead><tr><th scope="col">method</th><th scope="col">seed</th><th scope="col">status</th><th scope="col">${summary.metric}</th><th scope="col">time</th><th scope="col">folder beside this page</th></tr></thead><tbody>${rows}</tbody></table></div></section>`;
}
