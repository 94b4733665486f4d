import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { JsonValue } from '../data/stream/batch.js';
import { AtomicFile } from '../models/checkpoint/atomicFile.js';
import { openSafetensors } from '../models/checkpoint/safetensors.js';
import { writeSafetensors } from '../models/checkpoint/safetensorsWrite.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { type Tree, treeEntries, treeUnflatten } from '../tensor/tree.js';

const counts = z.record(z.string(), z.number());

/** trainer_state.json: where a run stands. */
const trainerState = z.object({
  format: z.literal(1),
  /** digest of what determines the run; a checkpoint of another run is refused */
  identity: z.string(),
  global_step: z.number().int().nonnegative(),
  epoch: z.number(),
  /** of the data, see BatchSource */
  cursor: z.json(),
  /** totals of the cost ledger so far */
  ledger: counts,
  /** lines of metrics.jsonl up to this step, so that a resumed run logs each step once */
  log_lines: z.number().int().nonnegative(),
});
export type TrainerState = Omit<z.infer<typeof trainerState>, 'cursor'> & { readonly cursor: JsonValue };

export interface CheckpointOptions {
  /** digest of what determines the run */
  readonly identity: string;
  /** older checkpoints are removed; default 2 */
  readonly save_total_limit?: number;
  /** Writes the model into the checkpoint's folder in the form that other programs read; without it, training state is all there is. */
  readonly exportModel?: (folder: string, params: ParamTree<NDArray>) => Promise<void>;
}

const namePattern = /^checkpoint-(\d+)$/;
const stateFile = 'training_state.safetensors';
const trainerFile = 'trainer_state.json';

/**
 * Checkpoints of one run: folders `checkpoint-N` with the training state of step N (parameters, optimizer, averages: every array, exact), where
 * the run stands, and the exported model. A folder is written beside its place and renamed, so a kill leaves the old ones or the new one whole.
 */
export class CheckpointStore {
  constructor(
    readonly folder: string,
    readonly options: CheckpointOptions,
  ) {}

  /** Steps of which there is a checkpoint, ascending. */
  async steps(): Promise<number[]> {
    const names = await readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names
      .flatMap((name) => namePattern.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  pathOf(step: number): string {
    return join(this.folder, `checkpoint-${step}`);
  }

  /** Saves a state: a tree of arrays and the run's position. Then removes checkpoints beyond the limit. */
  async save(state: unknown, trainer: Omit<TrainerState, 'format' | 'identity'>, params: ParamTree<NDArray>): Promise<void> {
    const target = this.pathOf(trainer.global_step);
    const temporary = join(this.folder, `.checkpoint-${trainer.global_step}.${process.pid}.tmp`);
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true });
    try {
      await writeSafetensors(join(temporary, stateFile), treeEntries<NDArray>(state as Tree<NDArray>), {
        metadata: { format: 'vitro', step: String(trainer.global_step) },
      });
      await this.options.exportModel?.(temporary, params);
      const file = await AtomicFile.create(join(temporary, trainerFile));
      const full: TrainerState = { format: 1, identity: this.options.identity, ...trainer };
      try {
        await file.write(Buffer.from(`${JSON.stringify(full, null, 2)}\n`));
        await file.finish();
        await file.publish();
      } catch (error) {
        await file.discard();
        throw error;
      }
      await rm(target, { recursive: true, force: true });
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
    const all = await this.steps();
    const limit = Math.max(1, this.options.save_total_limit ?? 2);
    for (const step of all.slice(0, Math.max(0, all.length - limit))) await rm(this.pathOf(step), { recursive: true, force: true });
  }

  /**
   * The newest checkpoint of this run as arrays in the structure of `like` (a tree of what has the same paths), or undefined where there is none.
   *
   * @throws VitroError where it belongs to another run or does not hold what this run needs
   */
  async latest<S>(like: S): Promise<{ readonly state: S; readonly trainer: TrainerState } | undefined> {
    const step = (await this.steps()).at(-1);
    if (step === undefined) return undefined;
    const path = this.pathOf(step);
    const parsed = trainerState.safeParse(JSON.parse(await readFile(join(path, trainerFile), 'utf8')));
    if (!parsed.success) throw new VitroError(`${path}/${trainerFile} is not what this version writes: ${z.prettifyError(parsed.error)}`);
    const trainer = parsed.data as TrainerState;
    if (trainer.identity !== this.options.identity)
      throw new VitroError(`${path} belongs to a run with other settings or data; give another output folder, or remove it to start over`);
    const source = await openSafetensors(join(path, stateFile));
    try {
      const wanted = treeEntries<unknown>(like as Tree<unknown>).map(([name]) => name);
      const there = new Set(source.names);
      const missing = wanted.filter((name) => !there.has(name));
      if (missing.length > 0)
        throw new VitroError(`${path}/${stateFile} lacks ${missing.slice(0, 5).join(', ')}; it was written by another version`);
      const arrays: NDArray[] = [];
      for (const name of wanted) arrays.push(await source.read(name));
      return { state: treeUnflatten(like, arrays) as S, trainer };
    } finally {
      await source.close();
    }
  }
}
