import type { NDArray } from '../array.js';
import { BackendError, DisposedError } from '../errors.js';
import type { Status } from './capi.js';
import { DeviceProbes } from './devices.js';
import { Lease } from './lease.js';
import { type PreparedSession, prepare } from './ortOptions.js';
import { CStrings, type Runtime, runtime } from './ortRuntime.js';
import { ortValue } from './ortValue.js';
import type { Backend, KernelEvent, ModelSpec, Port, Session, SessionOptions } from './types.js';

/** Native resources of a session, apart from the Session object so that its finalizer can free them. */
class Resources {
  #handle: bigint | undefined;
  #prepared: PreparedSession | undefined;

  constructor(
    readonly rt: Runtime,
    handle: bigint,
    prepared: PreparedSession,
  ) {
    this.#handle = handle;
    this.#prepared = prepared;
  }

  /** OrtSession* */
  get handle(): bigint {
    if (this.#handle === undefined) throw new DisposedError('session was used after dispose');
    return this.#handle;
  }

  endProfiling(): KernelEvent[] {
    const { api, allocator } = this.rt;
    const profile = this.#prepared?.profile;
    if (!profile) throw new BackendError('the session records no profile: create it with profile: true');
    const name = api.pointer('ending the profile', (out) => api.SessionEndProfiling(this.handle, allocator, out));
    api.check(api.AllocatorFree(allocator, name), 'freeing the name of the profile');
    return profile.take();
  }

  release(): void {
    const { api } = this.rt;
    if (this.#handle === undefined) return;
    api.ReleaseSession(this.#handle);
    for (const value of this.#prepared?.values ?? []) api.ReleaseValue(value);
    this.#prepared?.profile?.remove();
    this.#handle = undefined;
    this.#prepared = undefined;
  }
}

const unreachable = new FinalizationRegistry<Resources>((resources) => resources.release());

/** Pointers of one run under way and what must not be collected meanwhile. Every overlapping run has its own. */
interface Frame {
  readonly values: BigUint64Array;
  /** OrtValue** of the inputs, then of the outputs */
  readonly inputs: bigint;
  readonly outputs: bigint;
  readonly keep: unknown[];
}

class OrtSession implements Session {
  readonly #resources: Resources;
  readonly #inputs: readonly Port[];
  readonly #outputs: readonly Port[];
  readonly #inputNames: CStrings;
  readonly #outputNames: CStrings;
  readonly #idle: Frame[] = [];
  readonly #lease: Lease;

  constructor(resources: Resources, spec: ModelSpec) {
    const { api } = resources.rt;
    this.#resources = resources;
    this.#inputs = spec.inputs;
    this.#outputs = spec.outputs;
    this.#inputNames = new CStrings(
      api,
      spec.inputs.map((port) => port.name),
    );
    this.#outputNames = new CStrings(
      api,
      spec.outputs.map((port) => port.name),
    );
    this.#lease = new Lease(() => resources.release());
    unreachable.register(this, resources, this);
  }

  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[]): void {
    this.#lease.check();
    const { rt, handle } = this.#resources;
    const frame = this.#bind(inputs, outputs);
    const status = rt.api.Run(
      handle,
      null,
      this.#inputNames.address,
      frame.inputs,
      this.#inputs.length,
      this.#outputNames.address,
      this.#outputs.length,
      frame.outputs,
    );
    this.#return(frame);
    if (status) rt.api.check(status, 'running the model');
  }

  run(inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void> {
    return this.#lease.use(async () => {
      const { rt, handle } = this.#resources;
      const frame = this.#bind(inputs, outputs);
      try {
        const status = await new Promise<Status>((resolve, reject) => {
          rt.api.Run.async(
            handle,
            null,
            this.#inputNames.address,
            frame.inputs,
            this.#inputs.length,
            this.#outputNames.address,
            this.#outputs.length,
            frame.outputs,
            (error, result) => (error ? reject(error) : resolve(result)),
          );
        });
        rt.api.check(status, 'running the model');
      } finally {
        this.#return(frame);
      }
    });
  }

  endProfiling(): KernelEvent[] {
    this.#lease.check();
    return this.#resources.endProfiling();
  }

  dispose(): void {
    unreachable.unregister(this);
    this.#lease.close();
  }

  #bind(inputs: readonly NDArray[], outputs: readonly NDArray[]): Frame {
    const frame = this.#idle.pop() ?? this.#newFrame();
    try {
      this.#fill(frame, 0, 'input', this.#inputs, inputs);
      this.#fill(frame, this.#inputs.length, 'output', this.#outputs, outputs);
      return frame;
    } catch (error) {
      this.#return(frame);
      throw error;
    }
  }

  #fill(frame: Frame, offset: number, role: string, ports: readonly Port[], arrays: readonly NDArray[]): void {
    const { rt } = this.#resources;
    if (arrays.length !== ports.length) throw new BackendError(`the model has ${ports.length} ${role}s, got ${arrays.length} arrays`);
    for (let i = 0; i < ports.length; i++) {
      const port = ports[i] as Port;
      const array = arrays[i] as NDArray;
      if (array.dtype !== port.dtype) throw new BackendError(`${role} "${port.name}" is ${port.dtype}, got an array of ${array.dtype}`);
      frame.values[offset + i] = ortValue(rt, array);
      frame.keep.push(array, array.data);
    }
  }

  #newFrame(): Frame {
    const values = new BigUint64Array(new ArrayBuffer((this.#inputs.length + this.#outputs.length + 1) * 8));
    const address = this.#resources.rt.api.address(values);
    return { values, inputs: address, outputs: address + BigInt(this.#inputs.length * 8), keep: [] };
  }

  #return(frame: Frame): void {
    frame.keep.length = 0;
    this.#idle.push(frame);
  }
}

/** Arguments of CreateSession(FromArray) and what to do with its outcome; both ways of calling it share this. */
function open(spec: ModelSpec, options: SessionOptions) {
  const rt = runtime();
  const { api, env } = rt;
  const prepared = prepare(rt, spec, options);
  const out = new BigUint64Array(new ArrayBuffer(8));
  const create = prepared.file === undefined ? api.CreateSessionFromArray : api.CreateSession;
  const source = prepared.file === undefined ? [spec.model, spec.model.byteLength] : [prepared.file];
  const finish = (status: Status): Session => {
    api.ReleaseSessionOptions(prepared.options);
    if (status) {
      for (const value of prepared.values) api.ReleaseValue(value);
      prepared.profile?.remove();
    }
    api.check(status, 'creating a session');
    return new OrtSession(new Resources(rt, out[0] as bigint, prepared), spec);
  };
  return { create, args: [env, ...source, prepared.options, out] as const, finish };
}

function createSync(spec: ModelSpec, options: SessionOptions): Session {
  const { create, args, finish } = open(spec, options);
  return finish(create(...args));
}

const probes = new DeviceProbes(createSync);

/**
 * ONNX Runtime's C API in onnxruntime-node's own library. Arrays are read and written in place, whatever memory they live in
 * (SharedArrayBuffers too); `run` and `createSession` leave the event loop free and several may be under way at once.
 * Arrays handed to `run` must not be changed before it has finished.
 */
export const ort: Backend = {
  name: 'ort',
  sync: true,
  direct: true,

  devices() {
    runtime();
    return probes.working();
  },

  createSessionSync(spec, options) {
    probes.require(options.device);
    return createSync(spec, options);
  },

  async createSession(spec, options) {
    probes.require(options.device);
    const { create, args, finish } = open(spec, options);
    return finish(
      await new Promise<Status>((resolve, reject) => {
        create.async(...args, (error, status) => (error ? reject(error) : resolve(status)));
      }),
    );
  },
};
