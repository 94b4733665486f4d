import { createHash } from 'node:crypto';
import type { CompareSummary } from '../compare.js';
import { curvesSection, seedsSection } from './figures.js';
import { Html, html } from './html.js';
import { si } from './numbers.js';
import type { RunData } from './readRuns.js';
import { methodsSection, recipeSection } from './recipeSection.js';
import { ledgerSection, metricDecimals, resultsSection } from './resultsSection.js';
import { script } from './script.js';
import { reproduceSection, setupSection } from './setupSection.js';
import { style } from './style.js';
import { verdictSentence } from './verdict.js';

const digest = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Nothing is loaded from anywhere; of scripts and styles, the page's own alone run. */
const policy = `default-src 'none'; script-src ${digest(script)}; style-src ${digest(style)}; base-uri 'none'; form-action 'none'`;

/** The day on which the last run ended, as YYYY-MM-DD. */
const lastDay = (runs: readonly RunData[]): string | undefined =>
  runs
    .flatMap(({ record }) => record?.finished_at?.slice(0, 10) ?? [])
    .sort()
    .at(-1);

/** The report of a comparison as one HTML file that needs nothing else. */
export function reportPage(summary: CompareSummary, runs: readonly RunData[]): string {
  const { testbed, rows, seeds, cost, baseline } = summary;
  const others = rows.slice(1).map((r) => r.method);
  const title =
    others.length > 4 ? `${others.length} methods against ${baseline}` : [others.join(', '), baseline].filter(Boolean).join(' against ');
  const day = lastDay(runs);
  const facts = [
    `testbed ${testbed}: ${summary.summary}`,
    `${seeds.length} seed${seeds.length === 1 ? '' : 's'}, ${si(rows[0]?.tokens ?? 0)} tokens a run`,
    ...(day ? [day] : []),
  ];
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">
<title>${title} on ${testbed}</title><style>${new Html(style)}</style></head><body><main>
<header><p class="eyebrow">Comparison at equal cost (${cost})</p><h1>${title}</h1>
<p class="lead">${verdictSentence(summary, metricDecimals(summary))}</p><p class="facts">${facts.join(' \u00b7 ')}</p></header>
${resultsSection(summary)}
${seedsSection(summary)}
${curvesSection(summary, runs)}
${ledgerSection(summary)}
${recipeSection(summary)}
${methodsSection(summary)}
${setupSection(summary, runs)}
${reproduceSection(summary, runs)}
<footer><p class="note">Written by vitro compare. Numbers behind this page: <a href="./summary.json">summary.json</a> and the run folders.</p></footer>
</main><script type="module">${new Html(script)}</script></body></html>
`;
  return page.text;
}
