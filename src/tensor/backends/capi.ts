import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BackendError } from '../errors.js';

type Koffi = typeof import('koffi');

/** Arguments of a native call: pointers as bigint (null for NULL), memory as a view over it. */
type NativeArg = bigint | number | string | null | NodeJS.ArrayBufferView;

/** A native function; `async` runs it on another thread and reports through the callback. */
interface Native<R> {
  (...args: NativeArg[]): R;
  async(...args: [...NativeArg[], (error: Error | null, result: R) => void]): void;
}

/** An OrtStatus*: null is success. */
export type Status = bigint | null;

const p = 'void*';
/** ORTCHAR_T: UTF-16 on Windows, UTF-8 elsewhere. */
const path = process.platform === 'win32' ? 'str16' : 'str';

/**
 * Position and parameters of the functions used, all of which return OrtStatus*. Positions are those of `struct OrtApi` in
 * onnxruntime_c_api.h, whose order is frozen ("existing binaries depend on this ordering"): they hold for every version from 1.22 on.
 */
const statusFunctions = {
  CreateSession: [7, [p, path, p, p]],
  CreateSessionFromArray: [8, [p, p, 'size_t', p, p]],
  Run: [9, [p, p, p, p, 'size_t', p, 'size_t', p]],
  CreateSessionOptions: [10, [p]],
  EnableProfiling: [14, [p, path]],
  EnableMemPattern: [16, [p]],
  DisableMemPattern: [17, [p]],
  SetSessionLogSeverityLevel: [22, [p, 'int']],
  SetSessionGraphOptimizationLevel: [23, [p, 'int']],
  SetIntraOpNumThreads: [24, [p, 'int']],
  CreateTensorWithDataAsOrtValue: [49, [p, p, 'size_t', p, 'size_t', 'int', p]],
  CreateCpuMemoryInfo: [69, ['int', 'int', p]],
  AllocatorFree: [76, [p, p]],
  GetAllocatorWithDefaultOptions: [78, [p]],
  SessionEndProfiling: [110, [p, p, p]],
  CreateEnvWithGlobalThreadPools: [119, ['int', 'str', p, p]],
  DisablePerSessionThreads: [120, [p]],
  CreateThreadingOptions: [121, [p]],
  AddSessionConfigEntry: [130, [p, 'str', 'str']],
  SetGlobalIntraOpNumThreads: [147, [p, 'int']],
  AddInitializer: [150, [p, 'str', p]],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, [p, p]],
  CreateCUDAProviderOptions: [205, [p]],
  AddExternalInitializers: [210, [p, p, p, 'size_t']],
  SessionOptionsAppendExecutionProvider: [216, [p, 'str', p, p, 'size_t']],
} as const;

/** Functions that return nothing. */
const releaseFunctions = {
  ReleaseStatus: 93,
  ReleaseSession: 95,
  ReleaseValue: 96,
  ReleaseSessionOptions: 100,
  ReleaseThreadingOptions: 122,
  ReleaseCUDAProviderOptions: 208,
} as const;

const getErrorMessage = 2;
const tableLength = 217;
/** ORT_API_VERSION asked for; later libraries serve earlier versions. */
const apiVersion = 22;

type StatusFunctions = { readonly [K in keyof typeof statusFunctions]: Native<Status> };
type ReleaseFunctions = { readonly [K in keyof typeof releaseFunctions]: Native<void> };

/** The C API of one loaded ONNX Runtime library. */
export interface CApi extends StatusFunctions, ReleaseFunctions {
  /** e.g. "1.30.0" */
  readonly version: string;
  /** absolute path of the shared library */
  readonly library: string;
  /** Throws a BackendError with ONNX Runtime's message when a call failed, and frees the status. */
  check(status: Status, doing: string): void;
  /** Calls f (synchronous) with room for one pointer and returns the pointer that it wrote. */
  pointer(doing: string, f: (out: BigUint64Array) => Status): bigint;
  /** Address of a view's first byte; the caller keeps the view alive. */
  address(view: NodeJS.ArrayBufferView): bigint;
  /** Text of a zero-terminated UTF-8 string. */
  text(address: bigint): string;
}

const advice =
  'install the optional packages "koffi" and "onnxruntime-node" (npm install koffi onnxruntime-node), or point VITRO_ORT_LIB at a shared library of ONNX Runtime >= 1.22';

/** Path of the shared library: VITRO_ORT_LIB, else the one that the installed onnxruntime-node brings for this platform. */
export function libraryPath(): string {
  const override = process.env.VITRO_ORT_LIB;
  if (override) return override;
  const require = createRequire(import.meta.url);
  let root: string;
  try {
    root = dirname(require.resolve('onnxruntime-node/package.json'));
  } catch {
    throw new BackendError(`the package onnxruntime-node is not installed; ${advice}`);
  }
  const pattern = { linux: /^libonnxruntime\.so/, darwin: /^libonnxruntime\.\d+\.dylib$/, win32: /^onnxruntime\.dll$/ }[
    process.platform as string
  ];
  const system = `${process.platform}-${process.arch}`;
  if (!pattern) throw new BackendError(`onnxruntime-node has no library for ${system}; ${advice}`);
  try {
    const bin = join(root, 'bin');
    for (const napi of readdirSync(bin)) {
      const folder = join(bin, napi, process.platform, process.arch);
      const file = readdirSync(folder).find((name) => pattern.test(name));
      if (file) return join(folder, file);
    }
  } catch {
    // a missing folder is the case reported below
  }
  throw new BackendError(`onnxruntime-node has no library for ${system}; ${advice}`);
}

/** What must live as long as the process: koffi closes a library whose handle was collected. */
const held: unknown[] = [];
let loaded: CApi | BackendError | undefined;

/** The C API, loaded on first use; throws the same BackendError every time when that fails. */
export function capi(): CApi {
  if (!loaded) {
    try {
      loaded = load(libraryPath());
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      loaded = error instanceof BackendError ? error : new BackendError(`cannot load ONNX Runtime's C API: ${reason}; ${advice}`);
    }
  }
  if (loaded instanceof Error) throw loaded;
  return loaded;
}

const loadKoffi = (): Koffi => createRequire(import.meta.url)('koffi') as Koffi;

/** True where the system's loader finds a shared library. */
export function canLoad(library: string): boolean {
  try {
    held.push(loadKoffi().load(library));
    return true;
  } catch {
    return false;
  }
}

function load(library: string): CApi {
  const koffi = loadKoffi();
  try {
    // The C stack of calls: ONNX Runtime's graph passes need more than the 128 kiB that asynchronous calls get by default.
    koffi.config({ sync_stack_size: 8 << 20, async_stack_size: 4 << 20, max_async_calls: 4096 });
  } catch {
    // koffi is already in use by the application and keeps its settings
  }
  const handle = koffi.load(library);
  held.push(handle);
  const pointers = (address: unknown, n: number): BigUint64Array => new BigUint64Array(koffi.view(address, n * 8));
  const base: unknown = handle.func('OrtGetApiBase', p, [])();
  const [getApi, getVersion] = pointers(base, 2);
  const version = koffi.call(getVersion, koffi.proto('str', [])) as string;
  const table: unknown = koffi.call(getApi, koffi.proto(p, ['uint32_t']), apiVersion);
  if (!table) throw new BackendError(`${library} is ONNX Runtime ${version}; Vitro needs 1.22 or later`);
  const entries = pointers(table, tableLength);
  const bind = <R>(index: number, result: string, args: readonly string[]): Native<R> =>
    koffi.decode(entries[index], koffi.proto(result, [...args])) as Native<R>;

  const statuses = Object.fromEntries(
    Object.entries(statusFunctions).map(([name, [index, args]]) => [name, bind<Status>(index, p, args)]),
  ) as unknown as StatusFunctions;
  const releases = Object.fromEntries(
    Object.entries(releaseFunctions).map(([name, index]) => [name, bind<void>(index, 'void', [p])]),
  ) as unknown as ReleaseFunctions;
  const message = bind<string>(getErrorMessage, 'str', [p]);

  const scratch = new BigUint64Array(new ArrayBuffer(8));
  const check = (status: Status, doing: string): void => {
    if (!status) return;
    const text = message(status).trim();
    releases.ReleaseStatus(status);
    throw new BackendError(`${doing}: ${text}`);
  };
  return {
    ...statuses,
    ...releases,
    version,
    library,
    check,
    pointer(doing, f) {
      check(f(scratch), doing);
      return scratch[0] as bigint;
    },
    address: (view) => koffi.address(view),
    text: (address) => koffi.decode(address, 'char', -1) as string,
  };
}
