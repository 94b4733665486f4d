import { availableParallelism } from 'node:os';
import { type CApi, capi } from './capi.js';
import { probeModel } from './devices.js';

/** What the sessions of one process share. */
export interface Runtime {
  readonly api: CApi;
  /** OrtEnv* */
  readonly env: bigint;
  /** OrtMemoryInfo* of plain CPU memory */
  readonly cpuMemory: bigint;
  /** OrtAllocator* of ONNX Runtime's default allocator */
  readonly allocator: bigint;
  /** intra-op threads of a session that does not ask for a number */
  readonly threads: number;
  /**
   * True where such sessions run on one thread pool of the process. With a pool each, the idle pools of sessions that take turns
   * spin for a while and take the cores away from the one that works.
   */
  readonly sharedPool: boolean;
}

const severityFatal = 4;
const deviceAllocator = 0;
const memTypeDefault = 0;

let shared: Runtime | undefined;

/** The runtime, started on first use; throws a BackendError where ONNX Runtime cannot be loaded. */
export function runtime(): Runtime {
  shared ??= start();
  return shared;
}

function start(): Runtime {
  const api = capi();
  const threads = availableParallelism();
  const pool = api.pointer('creating threading options', (out) => api.CreateThreadingOptions(out));
  api.check(api.SetGlobalIntraOpNumThreads(pool, threads), 'setting the number of threads');
  const env = api.pointer('creating the environment', (out) => api.CreateEnvWithGlobalThreadPools(severityFatal, 'vitro', pool, out));
  api.ReleaseThreadingOptions(pool);
  return {
    api,
    env,
    cpuMemory: api.pointer('describing CPU memory', (out) => api.CreateCpuMemoryInfo(deviceAllocator, memTypeDefault, out)),
    allocator: api.pointer('getting the allocator', (out) => api.GetAllocatorWithDefaultOptions(out)),
    threads,
    sharedPool: hasSharedPool(api, env),
  };
}

/** False where onnxruntime-node's binding created the process's only environment before us, without a pool. */
function hasSharedPool(api: CApi, env: bigint): boolean {
  const options = api.pointer('creating session options', (out) => api.CreateSessionOptions(out));
  const out = new BigUint64Array(new ArrayBuffer(8));
  api.check(api.DisablePerSessionThreads(options), 'sharing threads');
  api.check(api.SetSessionLogSeverityLevel(options, severityFatal), 'setting the log level');
  const status = api.CreateSessionFromArray(env, probeModel, probeModel.byteLength, options, out);
  api.ReleaseSessionOptions(options);
  if (status) api.ReleaseStatus(status);
  else api.ReleaseSession(out[0] as bigint);
  return !status;
}

/** Zero-terminated UTF-8 strings with an array of pointers to them, as C functions take lists of names. */
export class CStrings {
  readonly #bytes: Uint8Array;
  readonly #pointers: BigUint64Array;
  /** const char* const* */
  readonly address: bigint;

  constructor(api: CApi, strings: readonly string[]) {
    const encoded = strings.map((s) => new TextEncoder().encode(`${s}\0`));
    this.#bytes = new Uint8Array(new ArrayBuffer(encoded.reduce((n, b) => n + b.length, 1)));
    this.#pointers = new BigUint64Array(new ArrayBuffer((strings.length + 1) * 8));
    const base = api.address(this.#bytes);
    let offset = 0;
    encoded.forEach((bytes, i) => {
      this.#bytes.set(bytes, offset);
      this.#pointers[i] = base + BigInt(offset);
      offset += bytes.length;
    });
    this.address = api.address(this.#pointers);
  }

  /** The views whose memory the pointers refer to; also a way to keep them alive across a call. */
  get memory(): readonly NodeJS.ArrayBufferView[] {
    return [this.#bytes, this.#pointers];
  }
}
