import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { JsonValue } from '../data/stream/batch.js';
import { AtomicFile, type WriteOptions } from '../models/checkpoint/atomicFile.js';
import { fileSystemError } from '../models/checkpoint/checkpointError.js';
import { openSafetensors } from '../models/checkpoint/safetensors.js';
import { writeSafetensors } from '../models/checkpoint/safetensorsWrite.js';
import type { FloatDType } from '../models/checkpoint/tensorSource.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { isFloat } from '../tensor/dtype.js';
import { VitroError } from '../tensor/errors.js';
import { type Tree, treeEntries, treeUnflatten } from '../tensor/tree.js';

/** trainer_state.json: where a run stands. */
const trainerState = z.object({
  format: z.literal(1),
  /** digest of what determines the run; a checkpoint of another run is refused */
  identity: z.string(),
  global_step: z.number().int().nonnegative(),
  max_steps: z.number().int().nonnegative(),
  epoch: z.number(),
  /** lowest loss of the first evaluation set so far; null before the first evaluation */
  best_metric: z.number().nullable(),
  /** of the data, see BatchSource */
  cursor: z.json(),
  /** totals of the cost ledger so far */
  ledger: z.record(z.string(), z.number()),
  /** the lines of metrics.jsonl up to this step */
  log_history: z.array(z.record(z.string(), z.number().nullable())),
});
export type TrainerState = Omit<z.infer<typeof trainerState>, 'cursor'> & { readonly cursor: JsonValue };

export interface CheckpointOptions {
  /** digest of what determines the run */
  readonly identity: string;
  /** older checkpoints are removed; default 2 */
  readonly save_total_limit?: number;
  /** Writes the model into the checkpoint's folder in the form that other programs read; without it, training state is all there is. */
  readonly exportModel?: (folder: string, params: ParamTree<NDArray>) => Promise<void>;
  /** how the training state's files are opened; tests make the disk full with it */
  readonly write?: WriteOptions;
}

const namePattern = /^checkpoint-(\d+)$/;
/** What a process that was killed leaves behind: unfinished checkpoints, and files that were written beside their place. */
const temporaryPattern =
  /^\.?(checkpoint|tokenizer|special_tokens_map|vocab|config|generation_config|model|identity|run|metrics|reward_head|trainer_state|training_state)[\w.-]*\.tmp$/;
const stateFile = 'training_state.safetensors';
const trainerFile = 'trainer_state.json';

/** Makes a rename durable; platforms that cannot sync a folder (Windows) do without. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/**
 * Checkpoints of one run: folders `checkpoint-N` with the training state of step N (parameters, optimizer, averages: every array, exact), where
 * the run stands, and the exported model. A folder is written beside its place and renamed, so a kill leaves the old ones or the new one whole.
 * One process at a time: the caller holds the folder's lock.
 */
export class CheckpointStore {
  constructor(
    readonly folder: string,
    readonly options: CheckpointOptions,
  ) {}

  async #names(): Promise<string[]> {
    return readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
  }

  /** Steps of which there is a checkpoint, ascending. */
  async steps(): Promise<number[]> {
    return (await this.#names())
      .flatMap((name) => namePattern.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  pathOf(step: number): string {
    return join(this.folder, `checkpoint-${step}`);
  }

  /** Removes what a process left behind that was killed while it saved. */
  async removeTemporary(): Promise<void> {
    for (const name of await this.#names())
      if (temporaryPattern.test(name)) await rm(join(this.folder, name), { recursive: true, force: true });
  }

  /** Removes the checkpoints after a step (default: all). */
  async removeAfter(step = -1): Promise<void> {
    for (const later of await this.steps()) if (later > step) await rm(this.pathOf(later), { recursive: true, force: true });
  }

  /**
   * Saves a state: a tree of arrays and the run's position. Then removes checkpoints beyond the limit.
   *
   * @throws VitroError where the file system refuses (disk full, no permission); the checkpoints that were there are untouched
   */
  async save(state: unknown, trainer: Omit<TrainerState, 'format' | 'identity'>, params: ParamTree<NDArray>): Promise<void> {
    const target = this.pathOf(trainer.global_step);
    const temporary = join(this.folder, `.checkpoint-${trainer.global_step}.${process.pid}.tmp`);
    try {
      await rm(temporary, { recursive: true, force: true });
      await mkdir(temporary, { recursive: true });
      await writeSafetensors(join(temporary, stateFile), treeEntries<NDArray>(state as Tree<NDArray>), {
        metadata: { format: 'vitro', step: String(trainer.global_step) },
        ...this.options.write,
      });
      await this.options.exportModel?.(temporary, params);
      await this.#writeTrainer(join(temporary, trainerFile), { format: 1, identity: this.options.identity, ...trainer });
      await rm(target, { recursive: true, force: true });
      await rename(temporary, target);
      await syncFolder(this.folder);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
      throw await this.#explain(target, error);
    }
    const all = await this.steps();
    const limit = Math.max(1, this.options.save_total_limit ?? 2);
    for (const step of all.slice(0, Math.max(0, all.length - limit))) await rm(this.pathOf(step), { recursive: true, force: true });
  }

  async #writeTrainer(path: string, trainer: TrainerState): Promise<void> {
    const file = await AtomicFile.create(path, this.options.write);
    try {
      await file.write(Buffer.from(`${JSON.stringify(trainer, null, 2)}\n`));
      await file.finish();
      await file.publish();
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  /** The error with what is left to go on from. */
  async #explain(target: string, error: unknown): Promise<unknown> {
    const explained = fileSystemError(target, 'saving the checkpoint', error);
    if (!(explained instanceof VitroError)) return explained;
    const last = (await this.steps().catch(() => [])).at(-1);
    const left = last === undefined ? 'there is no earlier checkpoint' : `checkpoint-${last} is intact, and the run can go on from it`;
    return new VitroError(`${explained.message} (${left})`, { cause: error });
  }

  /** trainer_state.json of a checkpoint, checked. */
  async #readTrainer(path: string): Promise<TrainerState> {
    const file = join(path, trainerFile);
    let json: unknown;
    try {
      json = JSON.parse(await readFile(file, 'utf8'));
    } catch (error) {
      throw new VitroError(`${file} cannot be read (${(error as Error).message}); remove the folder to go on from an earlier checkpoint`);
    }
    const parsed = trainerState.safeParse(json);
    if (!parsed.success) throw new VitroError(`${file} is not what this version writes: ${z.prettifyError(parsed.error)}`);
    if (parsed.data.identity !== this.options.identity)
      throw new VitroError(`${path} belongs to a run with other settings or data; give another output folder, or remove it to start over`);
    return parsed.data as TrainerState;
  }

  /**
   * The newest checkpoint of this run as arrays in the structure and types of `like`, or undefined where there is none.
   *
   * @throws VitroError where it belongs to another run or does not hold what this run needs
   */
  async latest<S>(like: S): Promise<{ readonly state: S; readonly trainer: TrainerState } | undefined> {
    const step = (await this.steps()).at(-1);
    if (step === undefined) return undefined;
    const path = this.pathOf(step);
    const trainer = await this.#readTrainer(path);
    const source = await openSafetensors(join(path, stateFile));
    try {
      const wanted = treeEntries<NDArray>(like as Tree<NDArray>);
      const there = new Set(source.names);
      const missing = wanted.flatMap(([name]) => (there.has(name) ? [] : [name]));
      if (missing.length > 0)
        throw new VitroError(`${path}/${stateFile} lacks ${missing.slice(0, 5).join(', ')}; it was written by another version`);
      const arrays: NDArray[] = [];
      for (const [name, { dtype }] of wanted) arrays.push(await source.read(name, isFloat(dtype) ? { dtype: dtype as FloatDType } : {}));
      return { state: treeUnflatten(like, arrays) as S, trainer };
    } finally {
      await source.close();
    }
  }
}
