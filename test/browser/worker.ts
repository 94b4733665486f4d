import { type TrainingRequest, trainDecoder } from './training.js';

/** The parts of a worker's global scope used here. */
interface WorkerScope {
  onmessage: (event: { readonly data: TrainingRequest }) => void;
  postMessage(losses: readonly number[]): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data }) => scope.postMessage(await trainDecoder(...data));
