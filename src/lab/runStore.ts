import { createHash } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ledger } from '../contracts/index.js';
import { lockFolder } from './lock.js';
import type { Machine, Versions } from './machine.js';
import type { Recipe } from './recipe.js';

/** Version of the run folder's layout. A reader refuses what it does not know. */
export const runFormat = 2;

/** What identifies a run: equal identities give equal results, so a finished run is never done twice. */
export interface RunIdentity {
  readonly testbed: string;
  readonly method: string;
  readonly seed: number;
  /** the method of every slot with its settings */
  readonly recipe: Recipe;
  /** model, budget and digest of the data */
  readonly task: unknown;
  readonly threads: number;
  readonly versions: Versions;
}

/** run.json: written when the run ends, whole or not at all. */
export interface RunRecord extends RunIdentity {
  readonly format: number;
  readonly hash: string;
  readonly status: 'finished' | 'diverged';
  /** final metrics; empty where the run diverged */
  readonly result: Readonly<Record<string, number>>;
  readonly ledger: Ledger;
  readonly machine: Machine;
  readonly started_at: string;
  readonly finished_at: string;
}

/** JSON with sorted keys, so that equal records give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).filter(([, v]) => v !== undefined);
    return `{${entries
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

export const hashOf = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('hex');

/** Writes JSON so that a reader sees the old file or the new one, never half of it. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  await rename(`${path}.tmp`, path);
}

/** Folder of one run inside `root`. The name holds enough of the hash that changed settings get a folder of their own. */
export const runFolder = (root: string, identity: RunIdentity): string =>
  join(root, `${identity.method}-seed${identity.seed}-${hashOf(identity).slice(0, 10)}`);

/** The record of a run that has ended, if this identity's folder holds one. */
export async function readFinished(root: string, identity: RunIdentity): Promise<RunRecord | undefined> {
  let text: string;
  try {
    text = await readFile(join(runFolder(root, identity), 'run.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const record = JSON.parse(text) as RunRecord;
  return record.format === runFormat && record.hash === hashOf(identity) ? record : undefined;
}

/** A run folder that is being written: identity.json at the start, lines of metrics as they come, run.json at the end. */
export class RunWriter {
  readonly folder: string;
  readonly #started = new Date().toISOString();
  readonly #metrics: WriteStream;

  private constructor(
    folder: string,
    readonly identity: RunIdentity,
    readonly unlock: () => Promise<void>,
  ) {
    this.folder = folder;
    this.#metrics = createWriteStream(join(folder, 'metrics.jsonl'));
  }

  static async create(root: string, identity: RunIdentity): Promise<RunWriter> {
    const folder = runFolder(root, identity);
    await mkdir(folder, { recursive: true });
    const unlock = await lockFolder(folder);
    // says what the folder is about before run.json does
    await writeJson(join(folder, 'identity.json'), identity).catch(async (error) => {
      await unlock();
      throw error;
    });
    return new RunWriter(folder, identity, unlock);
  }

  log(line: Readonly<Record<string, number | null>>): void {
    this.#metrics.write(`${JSON.stringify(line)}\n`);
  }

  async #flush(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#metrics.once('error', reject);
      this.#metrics.end(resolve);
    });
  }

  /** Gives the folder back without a result. */
  async abandon(): Promise<void> {
    await this.#flush().finally(this.unlock);
  }

  async finish(outcome: Pick<RunRecord, 'status' | 'result' | 'ledger' | 'machine'>): Promise<RunRecord> {
    await this.#flush();
    const record: RunRecord = {
      format: runFormat,
      hash: hashOf(this.identity),
      ...this.identity,
      ...outcome,
      started_at: this.#started,
      finished_at: new Date().toISOString(),
    };
    await writeJson(join(this.folder, 'run.json'), record);
    await this.unlock();
    return record;
  }
}
