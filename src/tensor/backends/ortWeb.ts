import type { NDArray } from '../array.js';
import { BackendError } from '../errors.js';
import {
  backendError,
  checkCount,
  checkDType,
  copyInto,
  type JsSessionOptions,
  type JsTensor,
  jsSessionOptions,
  type TensorConstructor,
  toTensors,
} from './jsBinding.js';
import { Lease } from './lease.js';
import type { Backend, Device, KernelEvent, ModelSpec, Session } from './types.js';

interface WebSession {
  run(feeds: Record<string, JsTensor>): Promise<Record<string, JsTensor>>;
  release(): Promise<void>;
}

/** The parts of onnxruntime-web used here. */
interface WebModule {
  readonly InferenceSession: { create(model: Uint8Array, options: JsSessionOptions): Promise<WebSession> };
  readonly Tensor: TensorConstructor;
  readonly env: { readonly wasm: { numThreads?: number } };
}

type WebDevice = 'cpu' | 'webgpu';

const providers: Readonly<Record<WebDevice, string>> = { cpu: 'wasm', webgpu: 'webgpu' };
/** What a browser (and Node from 21 on) tells about the machine. */
const { navigator } = globalThis as { navigator?: { readonly hardwareConcurrency: number; readonly gpu?: unknown } };
const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;

/**
 * "#onnxruntime-web" is the WebAssembly build that fits the platform (package.json, "imports"). WebGPU has a build of its own, with the
 * native provider of the other backends; the package's plain entry stays out of pages: its older JavaScript provider computes wrong gradients.
 */
const importers: Readonly<Record<WebDevice, () => Promise<unknown>>> = {
  cpu: () => import('#onnxruntime-web'),
  webgpu: () => import('onnxruntime-web/webgpu'),
};

const modules = new Map<WebDevice, Promise<WebModule>>();

function webModule(device: WebDevice, threads: number | undefined): Promise<WebModule> {
  let module = modules.get(device);
  if (!module) {
    module = importers[device]().then(
      (loaded) => {
        const web = loaded as WebModule;
        // one number for the page: it is read when the first session starts the threads
        if (threads !== undefined) web.env.wasm.numThreads = threads;
        else if (!inNode) web.env.wasm.numThreads = navigator?.hardwareConcurrency;
        return web;
      },
      (error: unknown) => {
        modules.delete(device);
        throw new BackendError(
          `cannot load onnxruntime-web: ${error instanceof Error ? error.message : String(error)}; install it with: npm install onnxruntime-web`,
        );
      },
    );
    modules.set(device, module);
  }
  return module;
}

/** onnxruntime-web refuses calls that overlap, also those of different sessions: they wait for each other here. */
let last: Promise<unknown> = Promise.resolve();

function inTurn<T>(doing: string, task: () => Promise<T>): Promise<T> {
  const turn = last.then(task).catch((error: unknown) => {
    throw backendError(doing, error);
  });
  last = turn.catch(() => undefined);
  return turn;
}

const release = (session: WebSession): void => {
  // nobody waits for the end of a session, and nothing can be done where it fails
  inTurn('releasing a session', () => session.release()).catch(() => undefined);
};

const unreachable = new FinalizationRegistry<WebSession>(release);

class OrtWebSession implements Session {
  readonly #module: WebModule;
  readonly #session: WebSession;
  readonly #spec: ModelSpec;
  readonly #lease: Lease;

  constructor(module: WebModule, session: WebSession, spec: ModelSpec) {
    this.#module = module;
    this.#session = session;
    this.#spec = spec;
    this.#lease = new Lease(() => release(session));
    unreachable.register(this, session, this);
  }

  runSync(): void {
    throw new BackendError('the backend "ort-web" has no synchronous runs: await run(...) instead');
  }

  run(inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void> {
    const { inputs: inputPorts, outputs: outputPorts } = this.#spec;
    return this.#lease.use(() =>
      inTurn('running the model', async () => {
        checkCount('output', outputPorts, outputs);
        outputPorts.forEach((port, i) => {
          checkDType('output', port, outputs[i] as NDArray);
        });
        const results = await this.#session.run(toTensors(this.#module.Tensor, 'input', inputPorts, inputs));
        outputPorts.forEach((port, i) => {
          const array = outputs[i] as NDArray;
          const result = results[port.name] as JsTensor;
          if (result.dims.join() !== array.shape.join())
            throw new BackendError(
              `output "${port.name}" has shape [${result.dims.join(', ')}], the given array [${array.shape.join(', ')}]`,
            );
          copyInto(array, result);
        });
      }),
    );
  }

  endProfiling(): KernelEvent[] {
    throw new BackendError('the backend "ort-web" records no profile: use "ort" or "ort-node"');
  }

  dispose(): void {
    unreachable.unregister(this);
    this.#lease.close();
  }
}

const isWebDevice = (device: Device): device is WebDevice => device in providers;

/**
 * onnxruntime-web: WebAssembly ('cpu') and WebGPU in browsers. Asynchronous only; arrays are copied in and out; threads need a
 * cross-origin isolated page. The package onnxruntime-web is loaded when the first session is created.
 */
export const ortWeb: Backend = {
  name: 'ort-web',
  sync: false,
  direct: false,

  devices() {
    return navigator?.gpu ? ['cpu', 'webgpu'] : ['cpu'];
  },

  createSessionSync() {
    throw new BackendError('the backend "ort-web" cannot create sessions synchronously: use await compiled.run(...) instead of calling it');
  },

  async createSession(spec, options) {
    const { device } = options;
    if (!isWebDevice(device) || !ortWeb.devices().includes(device))
      throw new BackendError(`device "${device}" does not work here; devices that do: ${ortWeb.devices().join(', ')}`);
    if (options.profile) throw new BackendError('the backend "ort-web" records no profile: use "ort" or "ort-node"');
    if (spec.modelPath !== undefined)
      throw new BackendError('the backend "ort-web" cannot read models from files: pass the weights as initializers');
    const settings = jsSessionOptions(spec, options, providers);
    const module = await webModule(device, options.threads);
    const session = await inTurn('creating a session', () => module.InferenceSession.create(spec.model, settings));
    return new OrtWebSession(module, session, spec);
  },
};
