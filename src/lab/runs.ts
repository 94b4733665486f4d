import { cpus } from 'node:os';
import { describeMachine, readVersions } from './machine.js';
import { UsageError } from './names.js';
import { runPool } from './pool.js';
import { completeRecipe, type parseSettings, type Recipe, type SlotSettings, settingsFor } from './recipe.js';
import { type RunIdentity, type RunRecord, RunWriter, readFinished } from './runStore.js';
import type { Testbed } from './testbeds/index.js';

export type RunEvent =
  | {
      readonly type: 'start';
      readonly runs: number;
      readonly reused: number;
      readonly out: string;
      readonly parallel: number;
      /** training steps of all runs together, and of those already done */
      readonly steps: number;
      readonly steps_reused: number;
      readonly metric: string;
    }
  | {
      readonly type: 'progress';
      readonly run: string;
      readonly step: number;
      /** of this run */
      readonly steps: number;
      readonly loss: number | null;
      readonly metric?: number;
      /** trained so far in this run, where the loop counts them */
      readonly tokens?: number;
    }
  | { readonly type: 'end'; readonly run: string; readonly record: RunRecord };

export interface RunHooks {
  readonly onEvent?: (event: RunEvent) => void;
  readonly signal?: AbortSignal;
}

export interface PoolOptions {
  /** threads of each run; default 1 */
  readonly threads?: number;
  /** runs side by side; default: cores / threads */
  readonly parallel?: number;
  /** results folder */
  readonly out: string;
  /** ignore finished runs in the folder */
  readonly fresh?: boolean;
}

/** A run to do: a recipe with a seed, under a name for the progress display. */
export interface Job {
  readonly name: string;
  readonly method: string;
  readonly recipe: Recipe;
  readonly seed: number;
}

export function checkCount(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name} must be a whole number of at least 1, got ${value}`);
  return value;
}

/**
 * The recipe that a method or several joined by + run with on a testbed: defaults, what the testbed shares, what tuning found for this recipe (or, where it
 * was not tuned itself, for its optimizer alone), what the user gave, and `extra`.
 */
export function recipeFor(
  testbed: Testbed,
  method: string,
  given: ReturnType<typeof parseSettings> = { bySlot: {}, byMethod: {} },
  extra: SlotSettings = {},
): Recipe {
  const plain = completeRecipe(testbed, method);
  const tuned = testbed.tuned[method] ?? testbed.tuned[plain.optimizer?.method ?? ''] ?? {};
  return completeRecipe(testbed, method, tuned, settingsFor(testbed, method, given), extra);
}

/** Does the jobs that the results folder does not hold yet, some side by side, and returns all records in order. */
export async function doRuns(
  testbed: Testbed,
  jobs: readonly Job[],
  options: PoolOptions,
  hooks: RunHooks,
): Promise<{ records: RunRecord[]; identities: RunIdentity[]; reused: number; threads: number; parallel: number }> {
  const { out } = options;
  const threads = checkCount('threads', options.threads ?? 1);
  const parallel = checkCount('parallel', options.parallel ?? Math.max(1, Math.floor(cpus().length / threads)));
  const versions = readVersions();
  const identities = await Promise.all(
    jobs.map(
      async ({ method, recipe, seed }): Promise<RunIdentity> => ({
        testbed: testbed.id,
        method,
        seed,
        recipe,
        task: await testbed.task(recipe),
        threads,
        versions,
      }),
    ),
  );
  const known = await Promise.all(identities.map((identity) => (options.fresh ? undefined : readFinished(out, identity))));
  const steps = jobs.map((job) => testbed.steps(job.recipe));
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const reused = known.filter((r) => r !== undefined).length;
  hooks.onEvent?.({
    type: 'start',
    runs: jobs.length,
    reused,
    out,
    parallel,
    steps: sum(steps),
    steps_reused: sum(steps.filter((_, i) => known[i] !== undefined)),
    metric: testbed.metric,
  });
  const records = await runPool(
    jobs.map((job, i) => ({ job, identity: identities[i] as RunIdentity, finished: known[i], steps: steps[i] as number })),
    parallel,
    async ({ job, identity, finished, steps: total }) => {
      if (finished) return finished;
      hooks.signal?.throwIfAborted();
      const record = await doRun(testbed, out, identity, job.recipe, hooks, (line) => {
        const metric = line[testbed.metric];
        hooks.onEvent?.({
          type: 'progress',
          run: job.name,
          step: line.global_step ?? 0,
          steps: total,
          loss: line.loss ?? null,
          ...(typeof metric === 'number' ? { metric } : {}),
          ...(typeof line.num_tokens === 'number' ? { tokens: line.num_tokens } : {}),
        });
      });
      hooks.onEvent?.({ type: 'end', run: job.name, record });
      return record;
    },
  );
  return { records, identities, reused, threads, parallel };
}

/** Does one run and writes its folder. */
async function doRun(
  testbed: Testbed,
  out: string,
  identity: RunIdentity,
  recipe: Recipe,
  hooks: RunHooks,
  onMetrics: (line: Readonly<Record<string, number | null>>) => void,
): Promise<RunRecord> {
  const writer = await RunWriter.create(out, identity);
  try {
    const { status, metrics, ledger } = await testbed.run(recipe, {
      seed: identity.seed,
      threads: identity.threads,
      ...(hooks.signal ? { signal: hooks.signal } : {}),
      onMetrics: (line) => {
        writer.log(line);
        onMetrics(line);
      },
    });
    return await writer.finish({ status, result: metrics, ledger, machine: describeMachine() });
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}
