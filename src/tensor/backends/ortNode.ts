import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { NDArray } from '../array.js';
import { BackendError } from '../errors.js';
import { DeviceProbes } from './devices.js';
import {
  copyInto,
  guarded,
  type JsSessionOptions,
  type JsTensor,
  jsSessionOptions,
  type TensorConstructor,
  toTensors,
} from './jsBinding.js';
import { Lease } from './lease.js';
import { checkedThreads, isFolder, stopSpinning } from './ortOptions.js';
import { ProfileFolder } from './profile.js';
import type { Backend, Device, KernelEvent, ModelSpec, Session, SessionOptions } from './types.js';

/** The native class behind onnxruntime-node's InferenceSession, which only hides it behind promises. */
interface NativeSession {
  loadModel(path: string, options: JsSessionOptions): void;
  loadModel(buffer: ArrayBufferLike, byteOffset: number, byteLength: number, options: JsSessionOptions): void;
  run(feeds: Record<string, JsTensor>, fetches: Record<string, JsTensor>, options: object): Record<string, JsTensor>;
  endProfiling(): void;
  dispose(): void;
}

interface Binding {
  readonly InferenceSession: new () => NativeSession;
}

interface Module {
  readonly binding: Binding;
  readonly Tensor: TensorConstructor;
}

let loaded: Module | undefined;

/** onnxruntime-node, loaded on first use; throws a BackendError where it is missing or its binary cannot load. */
export function ortNodeModule(): Module {
  if (loaded) return loaded;
  try {
    const require = createRequire(import.meta.url);
    const { binding, initOrt } = require('onnxruntime-node/dist/binding.js') as { binding: Binding; initOrt: () => void };
    const { Tensor } = require('onnxruntime-node') as { Tensor: TensorConstructor };
    initOrt();
    loaded = { binding, Tensor };
    return loaded;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BackendError(`cannot load onnxruntime-node: ${reason}; install it with: npm install onnxruntime-node`);
  }
}

const providers: Readonly<Partial<Record<Device, string>>> = { cpu: 'cpu', cuda: 'cuda', webgpu: 'webgpu' };

class OrtNodeSession implements Session {
  readonly #spec: ModelSpec;
  readonly #native: NativeSession;
  readonly #profile: ProfileFolder | undefined;
  readonly #lease: Lease;

  constructor(spec: ModelSpec, options: SessionOptions) {
    const { binding } = ortNodeModule();
    const settings = jsSessionOptions(spec, options, providers);
    settings.intraOpNumThreads = checkedThreads(options.threads ?? availableParallelism());
    settings.extra = { [stopSpinning]: '1', ...settings.extra };
    const profile = options.profile ? new ProfileFolder() : undefined;
    if (profile) {
      settings.enableProfiling = true;
      settings.profileFilePrefix = profile.prefix;
    }
    const native = guarded('creating a session', () => new binding.InferenceSession());
    try {
      guarded('creating a session', () => load(native, spec, settings));
    } catch (error) {
      profile?.remove();
      throw error;
    }
    this.#spec = spec;
    this.#native = native;
    this.#profile = profile;
    this.#lease = new Lease(() => {
      native.dispose();
      profile?.remove();
    });
  }

  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[]): void {
    this.#lease.check();
    this.#run(inputs, outputs);
  }

  /** The binding computes on the calling thread: the event loop waits for it. */
  run(inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void> {
    return this.#lease.use(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      this.#run(inputs, outputs);
    });
  }

  endProfiling(): KernelEvent[] {
    this.#lease.check();
    if (!this.#profile) throw new BackendError('the session records no profile: create it with profile: true');
    guarded('ending the profile', () => this.#native.endProfiling());
    return this.#profile.take();
  }

  dispose(): void {
    this.#lease.close();
  }

  #run(inputs: readonly NDArray[], outputs: readonly NDArray[]): void {
    const { Tensor } = ortNodeModule();
    guarded('running the model', () => {
      const feeds = toTensors(Tensor, 'input', this.#spec.inputs, inputs);
      const fetches = toTensors(Tensor, 'output', this.#spec.outputs, outputs);
      // ONNX Runtime writes the fetched tensors' own memory; what the binding returns are copies of them
      this.#native.run(feeds, fetches, {});
      this.#spec.outputs.forEach((port, i) => {
        copyInto(outputs[i] as NDArray, fetches[port.name] as JsTensor);
      });
    });
  }
}

function load(native: NativeSession, spec: ModelSpec, settings: JsSessionOptions): void {
  const { model, modelPath } = spec;
  if (modelPath === undefined) {
    native.loadModel(...bufferOf(model), settings);
    return;
  }
  if (!isFolder(modelPath)) {
    native.loadModel(modelPath, settings);
    return;
  }
  // external data is found beside the model's file
  const file = join(modelPath, `.vitro-${randomUUID()}.onnx`);
  try {
    writeFileSync(file, model);
    native.loadModel(file, settings);
  } finally {
    rmSync(file, { force: true });
  }
}

function bufferOf(model: Uint8Array): [ArrayBufferLike, number, number] {
  const own = model.buffer instanceof ArrayBuffer ? model : model.slice();
  return [own.buffer, own.byteOffset, own.byteLength];
}

const probes = new DeviceProbes((spec, options) => new OrtNodeSession(spec, options));

/**
 * onnxruntime-node's own binding: the fallback where koffi cannot load. Same results; every fetched output costs one more copy, bf16 is
 * not supported, and `run` blocks the event loop while it computes.
 */
export const ortNode: Backend = {
  name: 'ort-node',
  sync: true,
  direct: false,

  devices() {
    ortNodeModule();
    return probes.working();
  },

  createSessionSync(spec, options) {
    probes.require(options.device);
    return new OrtNodeSession(spec, options);
  },

  async createSession(spec, options) {
    await new Promise((resolve) => setImmediate(resolve));
    probes.require(options.device);
    return new OrtNodeSession(spec, options);
  },
};
