import { basename, join } from 'node:path';
import { lookUp, UsageError } from './names.js';
import { parseSettings } from './recipe.js';
import { writeReport } from './report/index.js';
import { type CompareRow, summariseRows } from './rows.js';
import { runFolder, writeJson } from './runStore.js';
import { checkCount, doRuns, type Job, type PoolOptions, type RunHooks, recipeFor } from './runs.js';
import { findTestbed, type Testbed } from './testbeds/index.js';

export interface CompareOptions extends Partial<PoolOptions> {
  /** what is compared: method ids, or several joined by + (`muon+quest`); the first is the baseline */
  readonly methods: readonly string[];
  readonly testbed: string;
  /** the final metric that decides; default: the testbed's */
  readonly metric?: string;
  /** seeds 0 .. seeds - 1, shared by all methods */
  readonly seeds: number;
  /** settings as `optimizer.learning_rate=0.001` or `muon.momentum=0.9`; they go before what tuning found */
  readonly set?: readonly string[];
  /** default runs/compare-TESTBED-METHODS */
  readonly out?: string;
}

/** Result of a comparison: summary.json, and what `--json` prints. */
export interface CompareSummary {
  readonly format: 2;
  readonly testbed: string;
  /** what the testbed is, in a line */
  readonly summary: string;
  readonly metric: string;
  readonly better: 'lower' | 'higher';
  readonly margin: number;
  /** what all sides spend alike */
  readonly cost: string;
  readonly baseline: string;
  readonly seeds: readonly number[];
  readonly rows: readonly CompareRow[];
  /** how learning rates were found */
  readonly protocol: string;
  /** model, budget and data of the baseline's runs */
  readonly task: unknown;
  readonly reused_runs: number;
  /** wall time of this call, reused runs not included */
  readonly seconds: number;
  readonly threads: number;
  readonly parallel: number;
  readonly out: string;
  /** folders of the runs inside `out`: seed by seed, methods in order */
  readonly runs: readonly string[];
  /** the command that does this comparison */
  readonly command: string;
  readonly versions: unknown;
  readonly machine: unknown;
}

/** How the learning rates of all sides are found. */
export const tuningProtocol =
  'Every candidate runs with the full budget on the tuning seeds, which no comparison uses; the best mean final metric wins. All methods have the same number of candidates.';

/** A word of a shell command, quoted where the shell would read more into it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The command that does the same comparison; threads are part of it, because sums in another order give other last digits. */
const commandOf = (options: CompareOptions, threads: number): string =>
  [
    'npx vitro compare',
    ...options.methods.map(quoted),
    `--testbed ${quoted(options.testbed)}`,
    ...(options.metric === undefined ? [] : [`--metric ${quoted(options.metric)}`]),
    `--seeds ${options.seeds}`,
    ...(options.set ?? []).map((s) => `--set ${quoted(s)}`),
    ...(threads === 1 ? [] : [`--threads ${threads}`]),
  ].join(' ');

/** The testbed with another of its metrics as the one that decides. */
function decidedBy(testbed: Testbed, metric: string | undefined): Testbed {
  if (metric === undefined || metric === testbed.metric) return testbed;
  const { better, margin } = lookUp(`metric of ${testbed.id}`, metric, {
    ...testbed.others,
    [testbed.metric]: { better: testbed.better, margin: testbed.margin },
  });
  return { ...testbed, metric, better, margin };
}

/**
 * Trains every method with every seed at the same cost and compares them pairwise with the first. Methods share seeds, so parameters and data
 * order are equal within a pair. Finished runs in the results folder are taken over; the rest is done, so an interrupted comparison goes on where
 * it stopped. Writes summary.json and report.html into the folder.
 */
export async function compare(options: CompareOptions, hooks: RunHooks = {}): Promise<CompareSummary> {
  const started = performance.now();
  const { methods } = options;
  if (methods.length === 0) throw new UsageError('name at least one method');
  if (new Set(methods).size !== methods.length) throw new UsageError(`a method is named twice: ${methods.join(' ')}`);
  const testbed = decidedBy(findTestbed(options.testbed), options.metric);
  const given = parseSettings(options.set ?? []);
  const seeds = Array.from({ length: checkCount('seeds', options.seeds) }, (_, i) => i);
  const recipes = methods.map((method) => ({ method, recipe: recipeFor(testbed, method, given) }));
  const out = options.out ?? join('runs', `compare-${testbed.id}-${methods.join('-')}`);
  // seed by seed, so that the two sides of a pair run under the same load
  const jobs = seeds.flatMap((seed) =>
    recipes.map(({ method, recipe }): Job => ({ name: `${method} seed ${seed}`, method, recipe, seed })),
  );
  const { records, identities, reused, threads, parallel } = await doRuns(testbed, jobs, { ...options, out }, hooks);
  const byMethod = Object.fromEntries(methods.map((m) => [m, records.filter((r) => r.method === m)]));
  const first = records[0];
  const summary: CompareSummary = {
    format: 2,
    testbed: options.testbed,
    summary: testbed.summary,
    metric: testbed.metric,
    better: testbed.better,
    margin: testbed.margin,
    cost: testbed.cost,
    baseline: methods[0] as string,
    seeds,
    rows: summariseRows(testbed, methods, byMethod),
    protocol: tuningProtocol,
    task: first?.task,
    reused_runs: reused,
    seconds: (performance.now() - started) / 1000,
    threads,
    parallel,
    out,
    runs: identities.map((identity) => basename(runFolder(out, identity))),
    command: commandOf(options, threads),
    versions: first?.versions,
    machine: first?.machine,
  };
  await writeJson(join(out, 'summary.json'), summary);
  await writeReport(out, summary);
  return summary;
}
