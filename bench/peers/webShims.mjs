// What jax-js expects of a browser and Node 20 lacks. Install before jax-js is loaded: it looks for these then.
import { resolveObjectURL } from 'node:buffer';
import { Worker as NodeWorker } from 'node:worker_threads';

const PRELUDE = `
const { parentPort } = require('node:worker_threads');
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on('message', (data) => self.onmessage({ data }));
`;

/** The part of the web's `Worker` that jax-js uses, on Node's worker threads. */
class WebWorker {
  onmessage = null;
  onerror = null;
  #worker;

  /** @param {string} url a blob URL, as `URL.createObjectURL` gives */
  constructor(url) {
    const blob = resolveObjectURL(url);
    if (blob === undefined) throw new Error(`worker source not found: ${url}`);
    this.#worker = blob.text().then((source) => {
      const worker = new NodeWorker(PRELUDE + source, { eval: true });
      worker.on('message', (data) => this.onmessage?.({ data }));
      worker.on('error', (error) => this.onerror?.(error));
      return worker;
    });
  }

  postMessage(message) {
    this.#worker.then((worker) => worker.postMessage(message));
  }

  terminate() {
    this.#worker.then((worker) => worker.terminate());
  }
}

/** Gives jax-js the threads it would have in a browser: it uses them only where `Worker` is global, and as many as the processor count says. */
export function installThreads(count) {
  globalThis.Worker ??= WebWorker;
  Object.defineProperty(globalThis, 'navigator', { value: { hardwareConcurrency: count }, configurable: true });
}

/** `map` and `filter` of iterators (Node 22 has them), which jax-js's `einsum` calls. */
export function installIteratorHelpers() {
  const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  const helpers = {
    *map(f) {
      let i = 0;
      for (const value of this) yield f(value, i++);
    },
    *filter(f) {
      let i = 0;
      for (const value of this) if (f(value, i++)) yield value;
    },
  };
  for (const [name, value] of Object.entries(helpers)) {
    if (iteratorPrototype[name] === undefined)
      Object.defineProperty(iteratorPrototype, name, { value, configurable: true, writable: true });
  }
}
