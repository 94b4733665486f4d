import { array, compile, matmul } from 'vitro/tensor';
import { GptTraining, type GptWorkload, gpt5m, gpt28m } from './gpt.js';
import { median, residentBytes, round, time } from './measure.js';
import { type PeerResult, runJaxjs, runTorch } from './peers/peers.js';

export interface TrainBench {
  readonly workload: string;
  readonly parameters: number;
  readonly gemm_peak_gflops: number;
  readonly step_ms: number;
  readonly gflops: number;
  readonly peak_fraction: number;
  readonly tokens_per_second: number;
  /** our tokens per second over @jax-js/jax's; null where it was not run */
  readonly jaxjs_ratio: number | null;
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

/** Times a plain 1024 float32 product and the training step in turn; then watches resident memory over `rssSteps` steps. */
function benchWorkload(workload: GptWorkload, repeats: number, rssSteps: number): Omit<TrainBench, 'jaxjs_ratio' | 'torch_ratio'> {
  const training = new GptTraining(workload);
  const gemm = compile((a: Parameters<typeof matmul>[0], b: Parameters<typeof matmul>[0]) => matmul(a, b), { name: 'gemm' });
  const random = () =>
    array(
      Float32Array.from({ length: gemmSize ** 2 }, () => Math.random() - 0.5),
      { shape: [gemmSize, gemmSize] },
    );
  const [a, b] = [random(), random()];
  const steps: number[] = [];
  const gemms: number[] = [];
  let taken = 0;
  let first = Number.NaN;
  let last = Number.NaN;
  const step = (): void => {
    last = training.runSync();
    if (taken++ === 0) first = last;
  };
  for (let r = -3; r < repeats; r++) {
    const g = Array.from({ length: gemmsPerStep }, () => time(() => gemm.runSync(a as never, b as never)));
    const ms = time(step);
    if (r < 0) continue;
    gemms.push(...g);
    steps.push(ms);
  }
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

/** The training benchmark of both workloads, with peers measured in the same run. */
export async function benchTrain({ repeats, peers, rssSteps }: TrainBenchOptions): Promise<TrainBench & { gpt_28m: TrainBench }> {
  const withPeers = async (workload: GptWorkload, runs: number, rss: number, jaxjs: boolean): Promise<TrainBench> => {
    const own = benchWorkload(workload, runs, rss);
    const notes: string[] = [];
    const ratio = (name: string, result: PeerResult | { readonly skipped: string }): number | null => {
      if ('skipped' in result) {
        notes.push(`${name}: ${result.skipped}`);
        return null;
      }
      return round(result.step_ms / own.step_ms, 2);
    };
    const torch_ratio = peers ? ratio('torch', await runTorch(workload.name)) : null;
    const jaxjs_ratio = peers && jaxjs ? ratio('jax-js', await runJaxjs(workload.name)) : null;
    return { ...own, jaxjs_ratio, torch_ratio, notes };
  };
  const small = await withPeers(gpt5m, repeats, rssSteps, true);
  const large = await withPeers(gpt28m, Math.max(5, repeats >> 1), 40, false);
  return { ...small, gpt_28m: large };
}
