import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../contracts/index.js';
import { tuningProtocol } from './compare.js';
import { describeMachine, type Machine, readVersions, type Versions } from './machine.js';
import { UsageError } from './names.js';
import { completeRecipe, type SlotSettings } from './recipe.js';
import { writeJson } from './runStore.js';
import { doRuns, type Job, type PoolOptions, type RunHooks, recipeFor } from './runs.js';
import { findTestbed } from './testbeds/index.js';

export interface TuneOptions extends Partial<PoolOptions> {
  /** method ids, or several joined by + */
  readonly methods: readonly string[];
  readonly testbed: string;
}

export interface TuneCandidate {
  /** settings of the optimizer that differ from the shared ones */
  readonly settings: Settings;
  /** final metric by tuning seed; null where the run diverged */
  readonly values: readonly (number | null)[];
  /** mean over the seeds; null if one diverged */
  readonly mean: number | null;
}

export interface TunedMethod {
  readonly best: SlotSettings;
  readonly candidates: readonly TuneCandidate[];
}

export interface TuneResult {
  readonly format: 2;
  readonly testbed: string;
  readonly metric: string;
  readonly protocol: string;
  readonly seeds: readonly number[];
  readonly methods: Readonly<Record<string, TunedMethod>>;
  readonly task: unknown;
  readonly shared: SlotSettings;
  readonly versions: Versions;
  readonly machine: Machine;
}

/** Runs the testbed's tuning protocol for the given methods and writes tuning.json into `out`. Interrupted tuning goes on where it stopped. */
export async function tune(options: TuneOptions, hooks: RunHooks = {}): Promise<TuneResult> {
  const testbed = findTestbed(options.testbed);
  const out = options.out ?? join('runs', `tune-${testbed.id}`);
  const { seeds, candidates } = testbed.tuning;
  const trials = options.methods.map((method) => {
    const optimizer = completeRecipe(testbed, method).optimizer?.method ?? '';
    const settings = candidates[optimizer];
    if (!settings)
      throw new UsageError(
        `${testbed.id} has no tuning candidates for the optimizer ${optimizer}; known: ${Object.keys(candidates).join(', ')}`,
      );
    return { method, settings };
  });
  const jobs = trials.flatMap(({ method, settings }) =>
    settings.flatMap((optimizer) =>
      seeds.map((seed): Job & { optimizer: Settings } => ({
        name: `${method} ${Object.values(optimizer).join('/')} seed ${seed}`,
        method,
        recipe: recipeFor(testbed, method, undefined, { optimizer }),
        seed,
        optimizer,
      })),
    ),
  );
  const { records } = await doRuns(testbed, jobs, { ...options, out }, hooks);
  const better = (a: number, b: number): boolean => (testbed.better === 'lower' ? a < b : a > b);
  const methods = Object.fromEntries(
    trials.map(({ method, settings }): [string, TunedMethod] => {
      const rows = settings.map((candidate): TuneCandidate => {
        const own = records.filter((_, i) => jobs[i]?.method === method && jobs[i]?.optimizer === candidate);
        const values = own.map((r) => r.result[testbed.metric] ?? null);
        const finite = values.filter((v) => v !== null);
        return {
          settings: candidate,
          values,
          mean: finite.length === values.length ? finite.reduce((a, b) => a + b, 0) / values.length : null,
        };
      });
      const ranked = rows.filter((r) => r.mean !== null).sort((a, b) => (better(a.mean as number, b.mean as number) ? -1 : 1));
      const best = ranked[0];
      if (!best) throw new UsageError(`every candidate of ${method} diverged on ${testbed.id}; lower the rates`);
      return [method, { best: { optimizer: best.settings }, candidates: rows }];
    }),
  );
  const result: TuneResult = {
    format: 2,
    testbed: testbed.id,
    metric: testbed.metric,
    protocol: tuningProtocol,
    seeds,
    methods,
    task: records[0]?.task,
    shared: testbed.shared,
    versions: readVersions(),
    machine: describeMachine(),
  };
  await mkdir(out, { recursive: true });
  await writeJson(join(out, 'tuning.json'), result);
  return result;
}
