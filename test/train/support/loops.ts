import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { type ExampleSet, exampleBatches, exampleSource } from '../../../src/data/examples/index.js';
import { type ScheduleMethod, schedules } from '../../../src/optim/schedule/index.js';
import { type OptimizerMethod, optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, randomKey, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { CheckpointStore } from '../../../src/train/checkpoints.js';
import type { PostTrainResult, PostTrainShared } from '../../../src/train/postTrain.js';
import { decoderParams, model } from './lossRun.js';

export type Line = Readonly<Record<string, number | null>>;

/** Settings of the loop that all tests share. */
export const optimizer = (learning_rate: number) => {
  const method = optimizers.adamw as OptimizerMethod;
  return { method, settings: { ...method.defaults, learning_rate } };
};
export const schedule = { method: schedules.constant as ScheduleMethod, settings: {} as Settings };

export interface LoopRun {
  readonly result: PostTrainResult;
  readonly lines: readonly Line[];
}

export type Loop = (shared: PostTrainShared) => Promise<PostTrainResult>;

/** Runs a loop on a set with the small decoder. */
export async function runLoop(loop: Loop, set: ExampleSet, change: Partial<PostTrainShared> = {}, rows?: number): Promise<LoopRun> {
  const lines: Line[] = [];
  const batch = { batch_size: 2, context: 8, ...(rows === undefined ? {} : { rows }) };
  const result = await loop({
    model,
    start: decoderParams(3),
    args: { max_steps: 6, logging_steps: 1, save_steps: 2 },
    data: exampleSource(set, { ...batch, key: randomKey(9) }),
    evaluation: exampleBatches(set, { batch_size: 3, context: 8 }),
    seed: 1,
    threads: 1,
    onMetrics: (line) => lines.push(line),
    ...change,
  });
  return { result, lines };
}

const numbers = (run: LoopRun): unknown => [
  treeEntries<NDArray>({ ...run.result.params, own: run.result.own } as Tree<NDArray>).map(([path, x]) => [path, x.toNumbers()]),
  run.lines.map(({ step_time: _, tokens_per_second: __, ...line }) => line),
  run.result.metrics,
];

/** A run that is interrupted after three steps and goes on gives the bits of one that is not. */
export async function expectExactResume(loop: Loop, set: ExampleSet): Promise<void> {
  const whole = await runLoop(loop, set);
  const folder = await mkdtemp(join(tmpdir(), 'vitro-loop-'));
  try {
    const store = (): CheckpointStore => new CheckpointStore(folder, { identity: 'test' });
    const stop = new AbortController();
    const early: Line[] = [];
    const onMetrics = (line: Line): void => {
      early.push(line);
      if (line.global_step === 3) stop.abort(new Error('stopped'));
    };
    await expect(runLoop(loop, set, { checkpoints: store(), signal: stop.signal, onMetrics })).rejects.toThrow('stopped');
    expect(await store().steps()).toContain(3);
    let resumed = -1;
    const onResume = ({ global_step }: { readonly global_step: number }): void => {
      resumed = global_step;
    };
    const rest = await runLoop(loop, set, { checkpoints: store(), onResume });
    expect(resumed).toBe(3);
    expect(numbers({ ...rest, lines: [...early, ...rest.lines] })).toEqual(numbers(whole));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
