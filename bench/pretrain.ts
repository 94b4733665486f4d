import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkConfig } from '../dist/lab/config/check.js';
import { pretrainSchema } from '../dist/lab/pretrain/config.js';
import { pretrainRun } from '../dist/lab/pretrainRun.js';
import { GptTraining, gpt5m } from './gpt.js';
import { median, round } from './measure.js';

export interface PretrainBench {
  readonly workload: string;
  /** the compiled step alone, on a batch that stays the same; median of a block's mean */
  readonly bare_step_ms: number;
  /** a step of the whole command: batches, schedule, step, metrics.jsonl */
  readonly loop_step_ms: number;
  readonly bare_tokens_per_second: number;
  readonly loop_tokens_per_second: number;
  /** throughput of the command over that of the bare step: median over pairs of neighbouring blocks */
  readonly ratio: number;
  /** the same from the fastest block of each */
  readonly ratio_of_fastest: number;
  readonly blocks: number;
}

const stepsOfBlock = 4;
const warmups = 1;

/**
 * Runs `vitro pretrain` on the workload of the training benchmark. After every fourth step, where the command writes its line of metrics, four bare steps run
 * in between, so that a noisy machine disturbs both alike; their time is not the command's.
 */
export async function benchPretrain(blocks: number): Promise<PretrainBench> {
  const output_dir = mkdtempSync(join(tmpdir(), 'vitro-bench-'));
  const bare = new GptTraining(gpt5m);
  const times: Record<'bare' | 'loop', number[]> = { bare: [], loop: [] };
  let back = Number.NaN;
  const turn = (): void => {
    const now = performance.now();
    times.loop.push((now - back) / stepsOfBlock);
    for (let i = 0; i < stepsOfBlock; i++) bare.runSync();
    back = performance.now();
    times.bare.push((back - now) / stepsOfBlock);
  };
  try {
    const config = checkConfig(pretrainSchema, {
      dataset_name: 'shakespeare',
      model: gpt5m.name,
      output_dir,
      per_device_train_batch_size: gpt5m.batch,
      max_steps: stepsOfBlock * (blocks + warmups),
      logging_steps: stepsOfBlock,
      eval_strategy: 'no',
      validation_fraction: 0,
      save_steps: 0,
    });
    await pretrainRun(config, { onEvent: (event) => event.type === 'metrics' && turn() });
  } finally {
    bare.step.dispose();
    rmSync(output_dir, { recursive: true, force: true });
  }
  const [bareTimes, loopTimes] = [times.bare.slice(warmups), times.loop.slice(warmups)];
  const [bareMs, loopMs] = [median(bareTimes), median(loopTimes)];
  return {
    workload: gpt5m.name,
    bare_step_ms: round(bareMs, 1),
    loop_step_ms: round(loopMs, 1),
    bare_tokens_per_second: round((bare.tokens / bareMs) * 1000, 0),
    loop_tokens_per_second: round((bare.tokens / loopMs) * 1000, 0),
    ratio: round(median(bareTimes.map((ms, i) => ms / (loopTimes[i] as number)))),
    ratio_of_fastest: round(Math.min(...bareTimes) / Math.min(...loopTimes)),
    blocks,
  };
}
