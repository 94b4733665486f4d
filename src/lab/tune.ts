import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Settings } from '../contracts/index.js';
import { optimizers } from '../optim/transform/index.js';
import { type CompareHooks, executeRun, identify, settingsFor } from './compare.js';
import { describeMachine, type Machine, readVersions, type Versions } from './machine.js';
import { lookUp, UsageError } from './names.js';
import { runPool } from './pool.js';
import { readFinished, writeJson } from './runStore.js';
import { testbeds } from './testbeds.js';

export interface TuneOptions {
  readonly methods: readonly string[];
  readonly testbed: string;
  readonly threads?: number;
  readonly parallel?: number;
  readonly out?: string;
}

export interface TuneCandidate {
  /** what differs from the shared settings */
  readonly settings: Settings;
  /** final metric by tuning seed; null where the run diverged */
  readonly values: readonly (number | null)[];
  /** mean over the seeds; null if one diverged */
  readonly mean: number | null;
}

export interface TuneResult {
  readonly format: 1;
  readonly testbed: string;
  readonly metric: string;
  readonly protocol: string;
  readonly seeds: readonly number[];
  readonly methods: Readonly<Record<string, { readonly best: Settings; readonly candidates: readonly TuneCandidate[] }>>;
  readonly task: unknown;
  readonly shared: Settings;
  readonly versions: Versions;
  readonly machine: Machine;
}

const protocol =
  'Every candidate runs with the full budget on the tuning seeds, which no comparison uses; the best mean final metric wins. All methods have the same number of candidates.';

/** Runs the testbed's tuning protocol for the given methods and writes tuning.json into `out`. Interrupted tuning goes on where it stopped. */
export async function tune(options: TuneOptions, hooks: CompareHooks = {}): Promise<TuneResult> {
  const testbed = lookUp('testbed', options.testbed, testbeds);
  const threads = options.threads ?? 1;
  const parallel = options.parallel ?? Math.max(1, Math.floor(cpus().length / threads));
  const out = options.out ?? join('runs', `tune-${testbed.id}`);
  const corpus = await testbed.corpus();
  const { seeds, candidates } = testbed.tuning;
  const jobs = options.methods.flatMap((id) => {
    const method = lookUp('method', id, optimizers);
    const settings = candidates[id];
    if (!settings) throw new UsageError(`${testbed.id} has no tuning candidates for ${id}; known: ${Object.keys(candidates).join(', ')}`);
    return settings.flatMap((candidate) =>
      seeds.map((seed) => ({
        id,
        candidate,
        identity: identify(testbed, corpus, method, settingsFor(testbed, method, candidate), seed, threads),
      })),
    );
  });
  const known = await Promise.all(jobs.map((job) => readFinished(out, job.identity)));
  hooks.onEvent?.({
    type: 'start',
    runs: jobs.length,
    reused: known.filter(Boolean).length,
    out,
    parallel,
    steps: testbed.task.max_steps,
    metric: testbed.metric,
  });
  const values = await runPool(
    jobs.map((job, i) => ({ ...job, finished: known[i] })),
    parallel,
    async ({ id, candidate, identity, finished }) => {
      if (finished) return finished.result[testbed.metric] ?? null;
      hooks.signal?.throwIfAborted();
      const run = `${id} ${Object.values(candidate).join('/')} seed ${identity.seed}`;
      const record = await executeRun(out, identity, testbed, corpus, {
        signal: hooks.signal,
        onMetrics: (line) => hooks.onEvent?.({ type: 'progress', run, step: line.global_step ?? 0, loss: line.loss ?? null }),
      });
      hooks.onEvent?.({ type: 'end', run, record });
      return record.result[testbed.metric] ?? null;
    },
  );
  const better = (a: number, b: number): boolean => (testbed.better === 'lower' ? a < b : a > b);
  const methods = Object.fromEntries(
    options.methods.map((id) => {
      const rows = (candidates[id] ?? []).map((settings): TuneCandidate => {
        const own = values.filter((_, i) => jobs[i]?.id === id && jobs[i]?.candidate === settings);
        const finite = own.filter((v) => v !== null);
        return { settings, values: own, mean: finite.length === own.length ? finite.reduce((a, b) => a + b, 0) / own.length : null };
      });
      const ranked = rows.filter((r) => r.mean !== null).sort((a, b) => (better(a.mean as number, b.mean as number) ? -1 : 1));
      const best = ranked[0];
      if (!best) throw new UsageError(`every candidate of ${id} diverged on ${testbed.id}; lower the rates`);
      return [id, { best: best.settings, candidates: rows }];
    }),
  );
  const result: TuneResult = {
    format: 1,
    testbed: testbed.id,
    metric: testbed.metric,
    protocol,
    seeds,
    methods,
    task: testbed.task,
    shared: testbed.shared,
    versions: readVersions(),
    machine: describeMachine(),
  };
  await mkdir(out, { recursive: true });
  await writeJson(join(out, 'tuning.json'), result);
  return result;
}
