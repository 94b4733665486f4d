import { add, array, compile, type Tensor } from 'vitro/tensor';
import { GptTraining, gpt5m, gpt124m } from './gpt.js';
import { median, round, time } from './measure.js';

export interface OverheadBench {
  /** a compiled function of one operation on four numbers, microseconds a call */
  readonly run_sync_us: number;
  readonly run_us: number;
  /** tracing, gradients, optimisation and session of the gpt-5.7m step */
  readonly compile_step_ms: number;
  /** the same for forward and backward of 30 layers in one session */
  readonly compile_30_layers_ms: number;
  /** ticks of a 1 ms timer during one asynchronous gpt-5.7m step, and how long that took */
  readonly timer_ticks: number;
  readonly async_step_ms: number;
}

/** Cost of a call, of compilation, and whether the event loop lives during a step. */
export async function benchOverhead(): Promise<OverheadBench> {
  const plus = compile((a: Tensor, b: Tensor) => add(a, b), { name: 'plus' });
  const [a, b] = [array([1, 2, 3, 4]), array([5, 6, 7, 8])];
  const batches = 15;
  const calls = 2000;
  for (let i = 0; i < 3000; i++) plus.runSync(a, b);
  const sync = Array.from({ length: batches }, () =>
    time(() => {
      for (let i = 0; i < calls; i++) plus.runSync(a, b);
    }),
  );
  const async_: number[] = [];
  for (let k = -3; k < batches; k++) {
    const start = performance.now();
    for (let i = 0; i < calls / 4; i++) await plus.run(a, b);
    if (k >= 0) async_.push(performance.now() - start);
  }

  const compileTimes: number[] = [];
  for (let i = 0; i < 3; i++) {
    const training = new GptTraining(gpt5m);
    const start = performance.now();
    await training.step.warmup(...training.args);
    compileTimes.push(performance.now() - start);
    training.step.dispose();
  }
  const deep = new GptTraining(gpt124m, { forwardBackwardOnly: true });
  const deepStart = performance.now();
  await deep.step.warmup(...deep.args);
  const deepMs = performance.now() - deepStart;
  deep.step.dispose();

  const training = new GptTraining(gpt5m);
  await training.run();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const start = performance.now();
  await training.run();
  const stepMs = performance.now() - start;
  clearInterval(timer);
  training.step.dispose();
  plus.dispose();
  return {
    run_sync_us: round((median(sync) / calls) * 1000, 2),
    run_us: round((median(async_) / (calls / 4)) * 1000, 2),
    compile_step_ms: round(median(compileTimes), 0),
    compile_30_layers_ms: round(deepMs, 0),
    timer_ticks: ticks,
    async_step_ms: round(stepMs, 0),
  };
}
