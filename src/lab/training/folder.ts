import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MetricsLine } from '../../train/pretrain.js';
import { lockFolder } from '../lock.js';
import { UsageError } from '../names.js';
import { flatten } from '../report/flatten.js';
import { hashOf, type RunIdentity, type RunRecord, writeJson } from '../runStore.js';

/** What a training run says of itself from its start; `determined` decides whether two runs are the same. */
export interface TrainingIdentity extends RunIdentity {
  /** digest of recipe, seed and task: a checkpoint belongs to it */
  readonly identity: string;
  /** the configuration as the user gave it, with defaults */
  readonly config: unknown;
}

/** Files of a run that starting over removes, beside the checkpoints. */
const ownFiles = [
  'identity.json',
  'run.json',
  'metrics.jsonl',
  'completions.jsonl',
  'reward_head.json',
  'reward_head.safetensors',
  'ema',
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UsageError(`${path} is damaged (${(error as Error).message}); remove it, or give another output_dir`);
  }
}

const determined = ({ recipe, seed, task }: Pick<RunIdentity, 'recipe' | 'seed' | 'task'>) => ({ recipe, seed, task });

/** Digest of what determines a run's bits. */
export const identityOf = (run: Pick<RunIdentity, 'recipe' | 'seed' | 'task'>): string => hashOf(determined(run));

/** Where two runs differ, e.g. "recipe.optimizer.settings.learning_rate: 0.001 there, 0.002 now". */
function differences(there: RunIdentity, now: RunIdentity): string[] {
  const [a, b] = [there, now].map((run) => Object.fromEntries(flatten(determined(run)))) as [
    Record<string, string>,
    Record<string, string>,
  ];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((key) => a[key] !== b[key])
    .map((key) => `${key}: ${a[key] ?? 'absent'} there, ${b[key] ?? 'absent'} now`);
}

/** The output folder of a training run, held by this process: identity.json, metrics.jsonl, at the end run.json. */
export class OutputFolder {
  #metrics: number | undefined;
  readonly #started = new Date().toISOString();

  private constructor(
    readonly path: string,
    readonly identity: TrainingIdentity,
    /** the record of the same run, where it has ended */
    readonly finished: RunRecord | undefined,
    readonly unlock: () => Promise<void>,
  ) {}

  /**
   * Takes a folder for a run. With `overwrite`, removes the run that it holds.
   *
   * @throws UsageError where another process writes it, or it holds another run
   */
  static async open(
    path: string,
    identity: TrainingIdentity,
    options: { readonly overwrite: boolean; readonly resume: boolean; readonly removeCheckpoints: () => Promise<void> },
  ): Promise<OutputFolder> {
    await mkdir(path, { recursive: true });
    const unlock = await lockFolder(path);
    try {
      if (options.overwrite) {
        await options.removeCheckpoints();
        for (const name of ownFiles) await rm(join(path, name), { recursive: true, force: true });
      }
      const there = await readJson<TrainingIdentity>(join(path, 'identity.json'));
      if (there && there.identity !== identity.identity) {
        const list = differences(there, identity);
        const shown = list.slice(0, 8).join('\n  ') + (list.length > 8 ? `\n  and ${list.length - 8} more` : '');
        throw new UsageError(
          `${path} holds another run; give another output_dir, or --overwrite_output_dir to start over. What differs:\n  ${shown}`,
        );
      }
      if (there && !options.resume)
        throw new UsageError(
          `${path} holds a run, and resume_from_checkpoint is false; give another output_dir, or --overwrite_output_dir to start over`,
        );
      const record = there ? await readJson<RunRecord & { identity?: string }>(join(path, 'run.json')) : undefined;
      await writeJson(join(path, 'identity.json'), identity);
      return new OutputFolder(path, identity, record?.identity === identity.identity ? record : undefined, unlock);
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /** Takes the record of a run away that is about to go on from an earlier checkpoint. */
  async reopen(): Promise<void> {
    await rm(join(this.path, 'run.json'), { force: true });
  }

  /** Begins metrics.jsonl with the lines of the checkpoint that the run goes on from. */
  startMetrics(history: readonly MetricsLine[]): void {
    if (this.#metrics !== undefined) closeSync(this.#metrics);
    this.#metrics = openSync(join(this.path, 'metrics.jsonl'), 'w');
    writeSync(this.#metrics, history.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }

  log(line: MetricsLine): void {
    if (this.#metrics === undefined) this.startMetrics([]);
    writeSync(this.#metrics as number, `${JSON.stringify(line)}\n`);
  }

  /** Waits until the disk has the lines. */
  syncMetrics(): void {
    if (this.#metrics !== undefined) fsyncSync(this.#metrics);
  }

  /** Writes run.json, whole or not at all. */
  async finish(outcome: Pick<RunRecord, 'status' | 'result' | 'ledger' | 'machine'>): Promise<void> {
    this.syncMetrics();
    await writeJson(join(this.path, 'run.json'), {
      format: 2,
      hash: this.identity.identity,
      ...this.identity,
      ...outcome,
      started_at: this.#started,
      finished_at: new Date().toISOString(),
    });
  }

  /** Gives the folder back. */
  async close(): Promise<void> {
    if (this.#metrics !== undefined) closeSync(this.#metrics);
    this.#metrics = undefined;
    await this.unlock();
  }
}
