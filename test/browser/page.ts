import { array, availableBackends, BackendError, compile, type Tensor } from '../../src/tensor/index.js';
import { trainDecoder } from './training.js';

/** What the tests call in the page. */
const page = {
  trainDecoder,
  backends: availableBackends,

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
