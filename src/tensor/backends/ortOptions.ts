import { statSync } from 'node:fs';
import { BackendError } from '../errors.js';
import { CStrings, type Runtime } from './ortRuntime.js';
import { createValue } from './ortValue.js';
import { ProfileFolder } from './profile.js';
import type { Device, ModelSpec, SessionOptions } from './types.js';

const optimizationLevels = { disabled: 0, basic: 1, extended: 2, all: 99 } as const;
const severityFatal = 4;

/** Session config: where the external data of a model that is loaded from bytes lies. */
export const externalDataFolder = 'session.model_external_initializers_file_folder_path';

/**
 * Session config: a session's own threads stop spinning when its run ends. Otherwise the idle threads of sessions that take turns
 * occupy the cores of the one that works (measured: 5 times slower with six sessions on two cores).
 */
export const stopSpinning = 'session.force_spinning_stop';

/** Everything that creating a session needs, and what must stay alive with it. */
export interface PreparedSession {
  /** OrtSessionOptions*; the caller frees it once the session exists */
  readonly options: bigint;
  /** path of the model's file; undefined when it is loaded from spec.model */
  readonly file: string | undefined;
  /** OrtValue*s of initializers, to be freed after the session */
  readonly values: readonly bigint[];
  /** memory that ONNX Runtime refers to */
  readonly keep: readonly unknown[];
  readonly profile: ProfileFolder | undefined;
}

/** Builds OrtSessionOptions. Throws a BackendError with ONNX Runtime's message, and then leaks nothing. */
export function prepare(rt: Runtime, spec: ModelSpec, options: SessionOptions): PreparedSession {
  const { api } = rt;
  const file = spec.modelPath !== undefined && !isFolder(spec.modelPath) ? spec.modelPath : undefined;
  const handle = api.pointer('creating session options', (out) => api.CreateSessionOptions(out));
  const values: bigint[] = [];
  const keep: unknown[] = [];
  const profile = options.profile ? new ProfileFolder() : undefined;
  const set = (what: string, status: bigint | null): void => api.check(status, `setting ${what}`);
  try {
    set('the log level', api.SetSessionLogSeverityLevel(handle, severityFatal));
    set('the optimization level', api.SetSessionGraphOptimizationLevel(handle, optimizationLevels[options.optimization ?? 'basic']));
    set('memory patterns', options.memPattern ? api.EnableMemPattern(handle) : api.DisableMemPattern(handle));
    const config: Record<string, string> = {};
    if (spec.modelPath !== undefined && file === undefined) config[externalDataFolder] = spec.modelPath;
    const threads = checkedThreads(options.threads ?? rt.threads);
    const special = Object.keys(options.config ?? {}).some((key) => key.startsWith('session.intra_op'));
    if (rt.sharedPool && threads === rt.threads && !special) {
      set('shared threads', api.DisablePerSessionThreads(handle));
    } else {
      set('the number of threads', api.SetIntraOpNumThreads(handle, threads));
      config[stopSpinning] = '1';
    }
    for (const [key, value] of Object.entries({ ...config, ...options.config }))
      set(`"${key}"`, api.AddSessionConfigEntry(handle, key, value));
    if (profile) set('profiling', api.EnableProfiling(handle, profile.prefix));
    appendDevice(rt, handle, options.device);
    addInitializers(rt, handle, spec, values, keep);
    return { options: handle, file, values, keep, profile };
  } catch (error) {
    api.ReleaseSessionOptions(handle);
    for (const value of values) api.ReleaseValue(value);
    profile?.remove();
    throw error;
  }
}

/** True for a folder, false for a file; a BackendError when there is neither. */
export function isFolder(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new BackendError(`modelPath "${path}" does not exist`);
  return stat.isDirectory();
}

/** The number of threads, or a BackendError where it is none. */
export function checkedThreads(threads: number): number {
  if (Number.isInteger(threads) && threads >= 1) return threads;
  throw new BackendError(`threads must be a positive integer, got ${threads}`);
}

/** Puts the device's execution provider before the CPU's, which runs whatever the device has no kernel for. */
function appendDevice(rt: Runtime, options: bigint, device: Device): void {
  const { api } = rt;
  if (device === 'cuda') {
    const cuda = api.pointer('creating CUDA options', (out) => api.CreateCUDAProviderOptions(out));
    const status = api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda);
    api.ReleaseCUDAProviderOptions(cuda);
    api.check(status, 'choosing the device "cuda"');
  } else if (device === 'webgpu') {
    api.check(api.SessionOptionsAppendExecutionProvider(options, 'WebGPU', null, null, 0), 'choosing the device "webgpu"');
  }
}

/**
 * Hands the initializers over. AddExternalInitializers satisfies the loader and the constant folder, but copies; AddInitializer makes the
 * kernels read our memory, upon which the copy is dropped while the session is being built.
 */
function addInitializers(rt: Runtime, options: bigint, spec: ModelSpec, values: bigint[], keep: unknown[]): void {
  const { api } = rt;
  const initializers = [...(spec.initializers ?? [])];
  if (initializers.length === 0) return;
  const pointers = new BigUint64Array(new ArrayBuffer(initializers.length * 8));
  initializers.forEach(([name, array], i) => {
    const { data } = array;
    const value = createValue(rt, array.dtype, array.shape, data);
    values.push(value);
    keep.push(data);
    pointers[i] = value;
    api.check(api.AddInitializer(options, name, value), `adding the initializer "${name}"`);
  });
  const names = new CStrings(
    api,
    initializers.map(([name]) => name),
  );
  keep.push(names);
  api.check(api.AddExternalInitializers(options, names.address, pointers, initializers.length), 'adding initializers');
}
