import { cpus } from 'node:os';
import { basename, join } from 'node:path';
import type { Settings } from '../contracts/index.js';
import type { TextCorpus } from '../data/textCorpus.js';
import { type Estimate, estimate, holm, type PairedDifference, pairedDifference, type Verdict, verdict } from '../evaluate/statistics.js';
import { type OptimizerMethod, optimizers } from '../optim/transform/index.js';
import { pretrain } from '../train/pretrain.js';
import { describeMachine, readVersions } from './machine.js';
import { lookUp, UsageError } from './names.js';
import { runPool } from './pool.js';
import { type RunIdentity, type RunRecord, RunWriter, readFinished, runFolder, writeJson } from './runStore.js';
import { type Testbed, testbeds } from './testbeds.js';

export interface CompareOptions {
  /** method ids; the first is the baseline */
  readonly methods: readonly string[];
  readonly testbed: string;
  /** seeds 0 .. seeds - 1, shared by all methods */
  readonly seeds: number;
  /** threads of each run; default 1 */
  readonly threads?: number;
  /** runs side by side; default: cores / threads */
  readonly parallel?: number;
  /** results folder; default runs/compare-TESTBED-METHODS */
  readonly out?: string;
  /** ignore finished runs in the folder */
  readonly fresh?: boolean;
}

export type CompareEvent =
  | {
      readonly type: 'start';
      readonly runs: number;
      readonly reused: number;
      readonly out: string;
      readonly parallel: number;
      readonly steps: number;
      readonly metric: string;
    }
  | { readonly type: 'progress'; readonly run: string; readonly step: number; readonly loss: number | null; readonly metric?: number }
  | { readonly type: 'end'; readonly run: string; readonly record: RunRecord };

export interface CompareHooks {
  readonly onEvent?: (event: CompareEvent) => void;
  readonly signal?: AbortSignal;
}

/** One row of the result: a method over its seeds, against the baseline. */
export interface CompareRow {
  readonly method: string;
  readonly settings: Settings;
  /** whether the settings were found by the testbed's tuning protocol */
  readonly tuned: boolean;
  readonly values: readonly (number | null)[];
  readonly diverged: number;
  readonly estimate: Estimate | null;
  /** method minus baseline over the seeds that both finished; null for the baseline itself */
  readonly difference: PairedDifference | null;
  /** p-value after Holm's correction over the methods compared with the baseline */
  readonly p_holm: number | null;
  readonly verdict: Verdict | null;
  /** means over the runs */
  readonly tokens: number;
  readonly flops: number;
  readonly train_seconds: number;
}

export interface CompareSummary {
  readonly format: 1;
  readonly testbed: string;
  readonly metric: string;
  readonly better: 'lower' | 'higher';
  readonly margin: number;
  readonly baseline: string;
  readonly seeds: readonly number[];
  readonly rows: readonly CompareRow[];
  readonly reused_runs: number;
  /** wall time of this call, reused runs not included */
  readonly seconds: number;
  readonly threads: number;
  readonly parallel: number;
  readonly out: string;
}

/** The settings a method runs with: its defaults, what the testbed shares, what tuning found. Keys that the method does not know are left out. */
export function settingsFor(testbed: Testbed, method: OptimizerMethod, overrides: Settings = {}): Settings {
  const known = (settings: Settings): Settings =>
    Object.fromEntries(Object.entries(settings).filter(([k]) => Object.hasOwn(method.defaults, k)));
  return { ...method.defaults, ...known(testbed.shared), ...(testbed.tuned[method.id] ?? {}), ...overrides };
}

/** What identifies one run of a method on a testbed. */
export const identify = (
  testbed: Testbed,
  corpus: TextCorpus,
  method: OptimizerMethod,
  settings: Settings,
  seed: number,
  threads: number,
): RunIdentity => ({
  testbed: testbed.id,
  method: method.id,
  seed,
  settings,
  task: { ...testbed.task, corpus: corpus.id, corpus_sha256: corpus.sha256 },
  threads,
  versions: readVersions(),
});

/** Trains one run and writes its folder. */
export async function executeRun(
  root: string,
  identity: RunIdentity,
  testbed: Testbed,
  corpus: TextCorpus,
  hooks: { readonly signal?: AbortSignal; readonly onMetrics?: (line: Readonly<Record<string, number | null>>) => void },
): Promise<RunRecord> {
  const writer = await RunWriter.create(root, identity);
  try {
    const { status, ledger, ...result } = await pretrain({
      task: testbed.task,
      optimizer: lookUp('method', identity.method, optimizers),
      settings: identity.settings,
      seed: identity.seed,
      corpus,
      threads: identity.threads,
      signal: hooks.signal,
      onMetrics: (line) => {
        writer.log(line);
        hooks.onMetrics?.(line);
      },
    });
    return await writer.finish({ status, result, ledger, machine: describeMachine() });
  } catch (error) {
    await writer.close();
    throw error;
  }
}

const average = (records: readonly RunRecord[], f: (r: RunRecord) => number): number =>
  records.reduce((n, r) => n + f(r), 0) / records.length;

/** Statistics of finished runs: one row a method, in the order given; `runs[method][i]` is seed i. */
export function summariseRows(
  testbed: Testbed,
  methods: readonly OptimizerMethod[],
  runs: Readonly<Record<string, readonly RunRecord[]>>,
): CompareRow[] {
  const valuesOf = (method: OptimizerMethod): (number | null)[] => (runs[method.id] ?? []).map((r) => r.result[testbed.metric] ?? null);
  const baseline = valuesOf(methods[0] as OptimizerMethod);
  const differences = methods.map((method, k) => {
    if (k === 0) return null;
    const pairs = valuesOf(method).flatMap((x, i) => {
      const b = baseline[i];
      return x === null || b === null || b === undefined ? [] : [[b, x] as const];
    });
    return pairs.length === 0
      ? null
      : pairedDifference(
          pairs.map(([b]) => b),
          pairs.map(([, x]) => x),
        );
  });
  const corrected = holm(differences.map((d) => d?.p ?? Number.NaN));
  return methods.map((method, k) => {
    const values = valuesOf(method);
    const finite = values.filter((v) => v !== null);
    const records = runs[method.id] ?? [];
    const difference = differences[k] ?? null;
    const p = corrected[k] as number;
    return {
      method: method.id,
      settings: records[0]?.settings ?? {},
      tuned: Object.hasOwn(testbed.tuned, method.id),
      values,
      diverged: values.length - finite.length,
      estimate: finite.length === 0 ? null : estimate(finite),
      difference,
      p_holm: Number.isNaN(p) ? null : p,
      verdict: difference && verdict(difference, { margin: testbed.margin, better: testbed.better, p }),
      tokens: average(records, (r) => r.ledger.tokens_trained),
      flops: average(records, (r) => r.ledger.model_flops + r.ledger.optimizer_flops),
      train_seconds: average(records, (r) => r.ledger.train_seconds),
    };
  });
}

function checkCount(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name} must be a whole number of at least 1, got ${value}`);
  return value;
}

/**
 * Trains every method with every seed at the same token budget and compares them pairwise with the first. Methods share seeds, so parameters
 * and data order are equal within a pair. Finished runs in the results folder are taken over; the rest is done, so an interrupted comparison
 * goes on where it stopped.
 */
export async function compare(options: CompareOptions, hooks: CompareHooks = {}): Promise<CompareSummary> {
  const started = performance.now();
  const testbed = lookUp('testbed', options.testbed, testbeds);
  const methods = options.methods.map((id) => lookUp('method', id, optimizers));
  if (new Set(options.methods).size !== options.methods.length)
    throw new UsageError(`a method is named twice: ${options.methods.join(' ')}`);
  if (methods.length === 0) throw new UsageError('name at least one method');
  const seeds = Array.from({ length: checkCount('seeds', options.seeds) }, (_, i) => i);
  const threads = checkCount('threads', options.threads ?? 1);
  const parallel = checkCount('parallel', options.parallel ?? Math.max(1, Math.floor(cpus().length / threads)));
  const out = options.out ?? join('runs', `compare-${testbed.id}-${options.methods.join('-')}`);
  const corpus = await testbed.corpus();

  // seed by seed, so that the two sides of a pair run under the same load
  const jobs = seeds.flatMap((seed) =>
    methods.map((method) => identify(testbed, corpus, method, settingsFor(testbed, method), seed, threads)),
  );
  const known = await Promise.all(jobs.map((identity) => (options.fresh ? undefined : readFinished(out, identity))));
  const reused = known.filter((r) => r !== undefined).length;
  hooks.onEvent?.({ type: 'start', runs: jobs.length, reused, out, parallel, steps: testbed.task.max_steps, metric: testbed.metric });

  const records = await runPool(
    jobs.map((identity, i) => ({ identity, finished: known[i] })),
    parallel,
    async ({ identity, finished }) => {
      if (finished) return finished;
      hooks.signal?.throwIfAborted();
      const run = `${identity.method} seed ${identity.seed}`;
      const record = await executeRun(out, identity, testbed, corpus, {
        signal: hooks.signal,
        onMetrics: (line) => {
          const metric = line[testbed.metric];
          hooks.onEvent?.({
            type: 'progress',
            run,
            step: line.global_step ?? 0,
            loss: line.loss ?? null,
            ...(typeof metric === 'number' ? { metric } : {}),
          });
        },
      });
      hooks.onEvent?.({ type: 'end', run, record });
      return record;
    },
  );

  const runs = Object.fromEntries(methods.map((m) => [m.id, records.filter((r) => r.method === m.id)]));
  const summary: CompareSummary = {
    format: 1,
    testbed: testbed.id,
    metric: testbed.metric,
    better: testbed.better,
    margin: testbed.margin,
    baseline: (methods[0] as OptimizerMethod).id,
    seeds,
    rows: summariseRows(testbed, methods, runs),
    reused_runs: reused,
    seconds: (performance.now() - started) / 1000,
    threads,
    parallel,
    out,
  };
  await writeJson(join(out, 'summary.json'), { ...summary, runs: jobs.map((identity) => basename(runFolder(out, identity))) });
  return summary;
}
