import { type Dirent, existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writerOf } from '../lock.js';
import type { RunIdentity, RunRecord } from '../runStore.js';
import { testbeds } from '../testbeds/index.js';
import { type MetricsLine, type RunData, readRun } from './readRuns.js';

export type RunStatus = RunRecord['status'] | 'running' | 'interrupted';

/** A run folder in short, whatever state it is in. */
export interface RunSummary {
  readonly folder: string;
  readonly testbed: string | null;
  readonly method: string | null;
  readonly seed: number | null;
  readonly status: RunStatus;
  /** name and value of the metric that decides: the final one, else the last one so far */
  readonly metric: string | null;
  readonly value: number | null;
  /** steps done */
  readonly step: number;
  readonly tokens: number;
  /** wall time of an ended run, training time so far of any other */
  readonly seconds: number;
}

/** A run folder in full. */
export interface RunDetail extends RunData {
  readonly summary: RunSummary;
  /** what the run is, known from its start */
  readonly identity: Partial<RunIdentity>;
}

const runFiles = ['run.json', 'metrics.jsonl', 'identity.json'];

/** Whether a folder is that of a run. */
export const isRunFolder = (folder: string): boolean => runFiles.some((name) => existsSync(join(folder, name)));

/** All run folders at or below `root`, sorted by path; links are not followed. A missing root has none. */
export async function findRunFolders(root: string, depth = 6): Promise<string[]> {
  if (isRunFolder(root)) return [root];
  let entries: Dirent[];
  try {
    entries = await readdir(root, { withFileTypes: true });
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
  const below = entries.filter((e) => e.isDirectory() && !e.name.startsWith('.') && e.name !== 'node_modules').map((e) => e.name);
  if (depth === 0) return [];
  return (await Promise.all(below.sort().map((name) => findRunFolders(join(root, name), depth - 1)))).flat();
}

async function readIdentity(folder: string): Promise<Partial<RunIdentity>> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    // folders of other tools have none
    return {};
  }
}

/** The last value of every metric. */
export function lastValues(lines: readonly MetricsLine[]): Record<string, number> {
  const last: Record<string, number> = {};
  for (const line of lines) for (const [k, v] of Object.entries(line)) if (v !== null) last[k] = v;
  return last;
}

/** Metrics of runs without a testbed, by which of them they are judged first. */
const usualMetrics = [
  ...['val/bpb', 'val/loss'],
  ...['eval_reward', 'eval_accuracy', 'eval_rewards/accuracies', 'eval_loss'],
  ...['reward', 'loss'],
];

/** The metric by which a run is judged: its testbed's, else the first of the usual ones that it has. */
function judged(testbed: string | undefined, values: Readonly<Record<string, number>>): string | undefined {
  const own = testbed !== undefined && Object.hasOwn(testbeds, testbed) ? testbeds[testbed]?.metric : undefined;
  return [own, ...usualMetrics].find((name) => name !== undefined && Object.hasOwn(values, name));
}

const trainingSeconds = (lines: readonly MetricsLine[]): number => {
  let before = 0;
  return lines.reduce((sum, { global_step, step_time }) => {
    if (typeof global_step !== 'number') return sum;
    const steps = global_step - before;
    before = global_step;
    return sum + steps * (step_time ?? 0);
  }, 0);
};

/** Reads one run folder. */
export async function readRunDetail(folder: string): Promise<RunDetail> {
  const [data, own, writer] = await Promise.all([readRun(folder), readIdentity(folder), writerOf(folder)]);
  const { record, lines } = data;
  const identity = record ?? own;
  const values = record && Object.keys(record.result).length > 0 ? record.result : lastValues(lines);
  const metric = record?.status === 'diverged' ? undefined : judged(identity.testbed, values);
  const last = lastValues(lines);
  const summary: RunSummary = {
    folder,
    testbed: identity.testbed ?? null,
    method: identity.method ?? null,
    seed: identity.seed ?? null,
    status: writer ? 'running' : (record?.status ?? 'interrupted'),
    metric: metric ?? null,
    value: metric === undefined ? null : (values[metric] ?? null),
    step: last.global_step ?? 0,
    tokens: record?.ledger.tokens_trained ?? last.num_tokens ?? 0,
    seconds: record?.ledger.wall_seconds ?? trainingSeconds(lines),
  };
  return { ...data, summary, identity };
}

/** Reads all run folders at or below `root`. */
export async function readRunDetails(root: string): Promise<RunDetail[]> {
  const details: RunDetail[] = [];
  for (const folder of await findRunFolders(root)) details.push(await readRunDetail(folder));
  return details;
}
