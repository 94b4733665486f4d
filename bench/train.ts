import { availableParallelism } from 'node:os';
import { array, compile, matmul, type Tensor, zerosArray } from 'vitro/tensor';
import { GptTraining, type GptWorkload, gpt5m, gpt28m } from './gpt.js';
import { median, residentBytes, round, time } from './measure.js';
import { type PeerResult, runJaxjs, runTorch, type Skipped } from './peers/peers.js';

export interface TrainBench {
  readonly workload: string;
  readonly parameters: number;
  readonly gemm_peak_gflops: number;
  /** median of a step: forward, backward, clipping and AdamW in one session on all threads */
  readonly step_ms: number;
  /** the same with the batch in `shards` parts computed side by side (shardedMean) */
  readonly sharded_step_ms: number;
  readonly shards: number;
  readonly gflops: number;
  readonly peak_fraction: number;
  readonly tokens_per_second: number;
  /** our tokens per second over those of @jax-js/jax as Node runs it, on one thread; null where it was not run */
  readonly jaxjs_ratio: number | null;
  /** the same with a stand-in for the browser's Worker, which gives jax-js two threads */
  readonly jaxjs_two_threads_ratio: number | null;
  /** our tokens per second over PyTorch's eager CPU mode; null where torch is absent */
  readonly torch_ratio: number | null;
  /** growth of resident memory between the two steps of rss_steps, as a fraction */
  readonly rss_growth: number;
  readonly rss_steps: readonly [number, number];
  readonly first_loss: number;
  readonly last_loss: number;
  readonly notes: readonly string[];
}

const gemmSize = 1024;
const gemmsPerStep = 4;

/** Parts of the batch that are computed side by side: more would make the products of these small models too small. */
const shards = Math.min(2, availableParallelism());

type OwnFigures = Omit<TrainBench, 'jaxjs_ratio' | 'jaxjs_two_threads_ratio' | 'torch_ratio'>;

/**
 * Times a plain 1024 float32 product, the training step and the sharded training step in turn; then watches resident memory over
 * `rssSteps` steps.
 */
async function benchWorkload(workload: GptWorkload, repeats: number, rssSteps: number): Promise<OwnFigures> {
  const training = new GptTraining(workload);
  const sharded = new GptTraining(workload, { shards });
  // The third argument only gives the result its memory: fresh pages would slow the product that the step is measured against.
  const gemm = compile((a: Tensor, b: Tensor, _out: Tensor) => matmul(a, b), { name: 'gemm', donate: [2] });
  let out = zerosArray([gemmSize, gemmSize]);
  const random = () =>
    array(
      Float32Array.from({ length: gemmSize ** 2 }, () => Math.random() - 0.5),
      { shape: [gemmSize, gemmSize] },
    );
  const [a, b] = [random(), random()];
  const steps: number[] = [];
  const shardedSteps: number[] = [];
  const gemms: number[] = [];
  const timeGemms = (): void => {
    for (let i = 0; i < gemmsPerStep; i++)
      gemms.push(
        time(() => {
          out = gemm.runSync(a, b, out);
        }),
      );
  };
  let taken = 0;
  let first = Number.NaN;
  let last = Number.NaN;
  const step = (): void => {
    last = training.runSync();
    if (taken++ === 0) first = last;
  };
  const shardedStep = async (): Promise<number> => {
    const start = performance.now();
    await sharded.run();
    return performance.now() - start;
  };
  for (let r = 0; r < 3; r++) {
    step();
    await shardedStep();
  }
  for (let r = 0; r < repeats; r++) {
    timeGemms();
    steps.push(time(step));
    timeGemms();
    shardedSteps.push(await shardedStep());
  }
  sharded.step.dispose();
  while (taken < 20) step();
  globalThis.gc?.();
  const before = residentBytes();
  const from = taken;
  while (taken < rssSteps) step();
  globalThis.gc?.();
  const growth = (residentBytes() - before) / before;
  const peak = (2 * gemmSize ** 3) / median(gemms) / 1e6;
  const stepMs = median(steps);
  const gflops = training.flops / stepMs / 1e6;
  training.step.dispose();
  gemm.dispose();
  return {
    workload: workload.name,
    parameters: training.parameters,
    gemm_peak_gflops: round(peak, 1),
    step_ms: round(stepMs, 1),
    sharded_step_ms: round(median(shardedSteps), 1),
    shards,
    gflops: round(gflops, 1),
    peak_fraction: round(gflops / peak),
    tokens_per_second: round((training.tokens / stepMs) * 1000, 0),
    rss_growth: round(growth, 4),
    rss_steps: [from, Math.max(from, rssSteps)],
    first_loss: round(first, 4),
    last_loss: round(last, 4),
    notes: [],
  };
}

export interface TrainBenchOptions {
  readonly repeats: number;
  readonly peers: boolean;
  /** last step at which resident memory is read, for gpt-5.7m */
  readonly rssSteps: number;
}

/** A peer's time over ours; what makes the figure doubtful, or why there is none, goes into the notes. */
function ratio(name: string, result: PeerResult | Skipped, stepMs: number, notes: string[]): number | null {
  if ('skipped' in result) {
    notes.push(`${name}: ${result.skipped}`);
    return null;
  }
  const fastest = Math.min(...result.all_ms) * (result.step_ms / median(result.all_ms));
  if (result.step_ms > 1.3 * fastest)
    notes.push(`${name}: its median step is ${round(result.step_ms / fastest, 2)} times its fastest; the machine was busy`);
  if (result.scaled) notes.push(`${name}: scaled up from ${result.tokens} tokens a step, which is what its memory holds`);
  return round(result.step_ms / stepMs, 2);
}

/** The training benchmark of both workloads, with peers measured in the same run. */
export async function benchTrain({ repeats, peers, rssSteps }: TrainBenchOptions): Promise<TrainBench & { gpt_28m: TrainBench }> {
  const withPeers = async (workload: GptWorkload, runs: number, rss: number, jaxjsSteps: number): Promise<TrainBench> => {
    const own = await benchWorkload(workload, runs, rss);
    const notes: string[] = [];
    if (!peers) return { ...own, jaxjs_ratio: null, jaxjs_two_threads_ratio: null, torch_ratio: null, notes: ['peers were left out'] };
    const against = (name: string, result: PeerResult | Skipped): number | null => ratio(name, result, own.step_ms, notes);
    const torch_ratio = against('torch', await runTorch(workload.name));
    const jaxjs_ratio = against('jax-js', await runJaxjs(workload.name, { steps: jaxjsSteps, threads: 1 }));
    const jaxjs_two_threads_ratio = against('jax-js, 2 threads', await runJaxjs(workload.name, { steps: jaxjsSteps, threads: 2 }));
    return { ...own, jaxjs_ratio, jaxjs_two_threads_ratio, torch_ratio, notes };
  };
  const small = await withPeers(gpt5m, repeats, rssSteps, 5);
  const large = await withPeers(gpt28m, Math.max(7, repeats >> 1), 40, 3);
  return { ...small, gpt_28m: large };
}
