import { array, availableBackends, BackendError, compile, type Tensor } from '../../src/tensor/index.js';
import { type TrainingRequest, trainDecoder } from './training.js';

declare const Worker: new (
  url: URL,
  options: { readonly type: 'module' },
) => {
  onmessage: (event: { readonly data: readonly number[] }) => void;
  onerror: (event: { readonly message: string }) => void;
  postMessage(request: TrainingRequest): void;
  terminate(): void;
};

/** What the tests call in the page. */
const page = {
  trainDecoder,
  backends: availableBackends,

  /** trainDecoder in a worker, and how often a timer of 10 ms fired in the page meanwhile. */
  async trainInWorker(...request: TrainingRequest): Promise<{ losses: readonly number[]; ticks: number }> {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    try {
      const losses = await new Promise<readonly number[]>((resolve, reject) => {
        worker.onmessage = (event) => resolve(event.data);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage(request);
      });
      return { losses, ticks };
    } finally {
      clearInterval(timer);
      worker.terminate();
    }
  },

  /** The message of the BackendError that a synchronous run throws. */
  async runSyncProblem(): Promise<string> {
    const double = compile((x: Tensor) => x.add(x));
    try {
      double.runSync(array([1]));
      return 'none';
    } catch (error) {
      return error instanceof BackendError ? error.message : `not a BackendError: ${error}`;
    } finally {
      double.dispose();
    }
  },
};

export type VitroPage = typeof page;

Object.assign(globalThis, { vitroPage: page });
