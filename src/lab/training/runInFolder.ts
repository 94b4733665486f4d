import { basename, dirname, resolve } from 'node:path';
import type { Ledger } from '../../contracts/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { CheckpointStore } from '../../train/checkpoints.js';
import type { MetricsLine } from '../../train/pretrain.js';
import { describeMachine } from '../machine.js';
import { UsageError } from '../names.js';
import { OutputFolder, type TrainingIdentity } from './folder.js';

/** What a training command tells while it works. */
export type TrainingEvent<Figures = unknown> =
  /** what is being prepared */
  | { readonly type: 'stage'; readonly what: string }
  | { readonly type: 'start'; readonly output_dir: string; readonly figures: Figures; readonly resumed_step: number | null }
  | { readonly type: 'metrics'; readonly line: MetricsLine }
  /** something that the user should know, once */
  | { readonly type: 'note'; readonly text: string };

export interface TrainingHooks<Event> {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: Event) => void;
}

/** What a training command brings out. */
export interface TrainingSummary {
  readonly output_dir: string;
  readonly status: 'finished' | 'diverged';
  /** the step that this call went on from; null where it began at the start */
  readonly resumed_step: number | null;
  /** whether the run had ended before this call, so that nothing was trained */
  readonly was_finished: boolean;
  readonly steps: number;
  readonly parameters: number;
  /** final metrics by name */
  readonly metrics: Readonly<Record<string, number>>;
  readonly ledger: Ledger;
  /** the last checkpoint; null where the run diverged before there was one */
  readonly checkpoint: string | null;
}

export interface FolderConfig {
  readonly save_total_limit: number;
  readonly overwrite_output_dir: boolean;
  readonly resume_from_checkpoint: boolean | string;
  readonly report_to: string | readonly string[];
}

const reporters = ['jsonl', 'none'];

/** @throws UsageError for reporters that do not exist */
export function checkReporters({ report_to }: Pick<FolderConfig, 'report_to'>): void {
  for (const name of [report_to].flat())
    if (!reporters.includes(name))
      throw new UsageError(
        `report_to: "${name}" is not available; available are ${reporters.join(', ')}. metrics.jsonl has a line of JSON for every logged step`,
      );
}

/** The step of the checkpoint that the user names, or undefined where the newest is meant. */
function wantedStep(output_dir: string, { resume_from_checkpoint: from }: FolderConfig): number | undefined {
  if (typeof from !== 'string') return undefined;
  const step = /^checkpoint-(\d+)$/.exec(basename(from))?.[1];
  if (step === undefined || resolve(dirname(from)) !== resolve(output_dir))
    throw new UsageError(
      `resume_from_checkpoint: "${from}" is not allowed; it must be true, false or a folder checkpoint-N in ${output_dir}. To start from the weights of another run, give model_name_or_path`,
    );
  return Number(step);
}

/** A run and the folder that holds it. */
export interface FolderRun {
  readonly output_dir: string;
  readonly identity: TrainingIdentity;
  readonly config: FolderConfig;
  readonly steps: number;
  readonly parameters: number;
  /** Writes the model of a checkpoint into its folder. */
  exportModel(folder: string, params: ParamTree<NDArray>): Promise<void>;
  /** Called before the first step of this call with the step that it goes on from (null: from the start); further files are cut back here. */
  onStart(resumed_step: number | null): void;
  /** Called before a checkpoint is complete: further files must be on the disk. */
  sync?(): void;
  onMetrics(line: MetricsLine): void;
}

/** What a loop gets, and what it brings out. */
export interface FolderLoop {
  readonly checkpoints: CheckpointStore;
  readonly onMetrics: (line: MetricsLine) => void;
  readonly onResume: (state: { readonly global_step: number; readonly log_history: readonly MetricsLine[] }) => void;
}
export type TrainingOutcome = Pick<TrainingSummary, 'status' | 'metrics' | 'ledger'>;

/**
 * Trains in a folder: takes its lock, goes on with the run that it holds or refuses another one, keeps metrics.jsonl in step with the checkpoints, and
 * writes run.json at the end. `train` saves the final model itself.
 *
 * @throws UsageError where the folder holds another run, or another process writes it
 */
export async function runInFolder(run: FolderRun, train: (loop: FolderLoop) => Promise<TrainingOutcome>): Promise<TrainingSummary> {
  const { output_dir, identity, config } = run;
  const checkpoints = new CheckpointStore(output_dir, {
    identity: identity.identity,
    save_total_limit: config.save_total_limit,
    exportModel: async (folder, params) => {
      output.syncMetrics();
      run.sync?.();
      await run.exportModel(folder, params);
    },
  });
  const step = wantedStep(output_dir, config);
  const output = await OutputFolder.open(output_dir, identity, {
    overwrite: config.overwrite_output_dir,
    resume: config.resume_from_checkpoint !== false,
    removeCheckpoints: () => checkpoints.removeAfter(),
  });
  const summary = (rest: Omit<TrainingSummary, 'output_dir' | 'steps' | 'parameters'>): TrainingSummary => ({
    output_dir,
    steps: run.steps,
    parameters: run.parameters,
    ...rest,
  });
  const newest = async (): Promise<string | null> => {
    const last = (await checkpoints.steps()).at(-1);
    return last === undefined ? null : checkpoints.pathOf(last);
  };
  try {
    await checkpoints.removeTemporary();
    if (step !== undefined) {
      const there = await checkpoints.steps();
      if (!there.includes(step))
        throw new UsageError(`${output_dir} has no checkpoint-${step}; it has ${there.map((n) => `checkpoint-${n}`).join(', ') || 'none'}`);
      await checkpoints.removeAfter(step);
      await output.reopen();
    } else if (output.finished) {
      const { status, result, ledger } = output.finished;
      return summary({ status, resumed_step: null, was_finished: true, metrics: result, ledger, checkpoint: await newest() });
    }
    let resumed_step: number | null = null;
    let started = false;
    const start = (): void => {
      if (!started) run.onStart(resumed_step);
      started = true;
    };
    if ((await checkpoints.steps()).length === 0) {
      output.startMetrics([]);
      start();
    }
    const { status, metrics, ledger } = await train({
      checkpoints,
      onMetrics: (line) => {
        output.log(line);
        run.onMetrics(line);
      },
      onResume: ({ global_step, log_history }) => {
        resumed_step = global_step;
        output.startMetrics(log_history);
        start();
      },
    });
    await output.finish({ status, result: metrics, ledger, machine: describeMachine() });
    return summary({ status, resumed_step, was_finished: false, metrics, ledger, checkpoint: await newest() });
  } finally {
    await output.close();
  }
}
