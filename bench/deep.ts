import { readFileSync } from 'node:fs';
import { GptTraining, gpt124m } from './gpt.js';
import { median, round, time } from './measure.js';

export interface DeepBench {
  readonly parameters: number;
  readonly layers: number;
  readonly step_ms: number;
  readonly gflops: number;
  /** highest resident memory of the process over all steps, gigabytes */
  readonly peak_rss_gb: number;
  readonly first_loss: number;
  readonly last_loss: number;
}

/** Highest resident memory of this process so far; from the kernel where it tells, else of this moment. */
function peakResidentBytes(): number {
  try {
    const kib = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kib) return Number(kib) * 1024;
  } catch {
    // no /proc on this platform
  }
  return process.memoryUsage.rss();
}

/** A training step of 124M parameters in 30 layers by layer-wise execution. Run it in a process of its own: it reports that process's memory. */
export function benchDeep(steps = 4): DeepBench {
  const training = new GptTraining(gpt124m, { layerwise: true });
  let loss = Number.NaN;
  const losses: number[] = [];
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    const ms = time(() => {
      loss = training.runSync();
    });
    losses.push(loss);
    if (i > 0) times.push(ms);
  }
  const ms = median(times);
  return {
    parameters: training.parameters,
    layers: training.workload.config.num_hidden_layers,
    step_ms: round(ms, 0),
    gflops: round(training.flops / ms / 1e6, 1),
    peak_rss_gb: round(peakResidentBytes() / 1e9, 2),
    first_loss: round(losses[0] ?? Number.NaN, 4),
    last_loss: round(loss, 4),
  };
}
