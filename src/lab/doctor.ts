import { cpus, freemem, totalmem } from 'node:os';
import {
  array,
  availableBackends,
  type BackendName,
  compile,
  type Device,
  fullArray,
  matmul,
  NDArray,
  type Tensor,
} from '../tensor/index.js';
import { describeMachine, type Machine, readVersions, type Versions } from './machine.js';

export interface DeviceReport {
  readonly device: Device;
  readonly works: boolean;
  /** why not */
  readonly problem?: string;
}

export interface BackendReport {
  readonly name: BackendName;
  readonly works: boolean;
  /** version and place of the library, where the backend can tell */
  readonly library?: string;
  readonly problem?: string;
  readonly devices: readonly DeviceReport[];
}

export interface DoctorReport {
  /** whether training and inference work on this machine */
  readonly ok: boolean;
  readonly versions: Versions;
  readonly node_ok: boolean;
  readonly machine: Machine;
  readonly free_memory_bytes: number;
  readonly backends: readonly BackendReport[];
  /** speed of a 1024 x 1024 float32 matrix product on the default backend, median of several, in GFLOP/s; null where none works */
  readonly gemm_gflops: { readonly one_thread: number; readonly all_threads: number } | null;
  /** what to do about what is wrong */
  readonly advice: readonly string[];
}

const devices: readonly Device[] = ['cpu', 'webgpu', 'cuda'];
const minimumNode = [20, 20] as const;

export function isSupportedNode(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1]);
}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';

/** Runs one small function on a device and checks its result. */
async function tryDevice(backend: BackendName, device: Device): Promise<DeviceReport> {
  const double = compile((x: Tensor) => x.add(x), { name: 'doctor', backend, device });
  try {
    const values = (await double.run(array([1, 2, 3]))).toNumbers();
    return values.join() === '2,4,6' ? { device, works: true } : { device, works: false, problem: `computed ${values.join()} for 2,4,6` };
  } catch (error) {
    return { device, works: false, problem: firstLine(error) };
  } finally {
    double.dispose();
  }
}

async function gemmSpeed(threads: number): Promise<number> {
  const n = 1024;
  const product = compile((a: Tensor, b: Tensor) => matmul(a, b), { name: 'gemm', threads });
  const a = fullArray([n, n], 0.5);
  const b = new NDArray(
    'f32',
    [n, n],
    Float32Array.from({ length: n * n }, (_, i) => (i % 13) / 13),
  );
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const before = performance.now();
    await product.run(a, b);
    times.push(performance.now() - before);
  }
  product.dispose();
  times.sort((x, y) => x - y);
  return (2 * n ** 3) / (times[times.length >> 1] as number) / 1e6;
}

/** Finds out what works on this machine. Never throws: what fails is part of the report. */
export async function examine(): Promise<DoctorReport> {
  const versions = readVersions();
  const backends: BackendReport[] = [];
  for (const status of availableBackends()) {
    const reports = status.problem === undefined ? await Promise.all(devices.map((device) => tryDevice(status.name, device))) : [];
    const works = reports.some((d) => d.device === 'cpu' && d.works);
    backends.push({ ...status, works, devices: reports });
  }
  const nodeOk = isSupportedNode(versions.node);
  const anyWorks = backends.some((b) => b.works);
  const advice: string[] = [];
  if (!nodeOk) advice.push(`Node ${versions.node} is too old: install Node ${minimumNode.join('.')} or later.`);
  if (!anyWorks)
    advice.push(
      'No backend of ONNX Runtime works. Run npm ci again; where a download of ONNX Runtime fails, set ONNXRUNTIME_NODE_INSTALL=skip first (the CPU library is part of the package).',
    );
  let gemm: DoctorReport['gemm_gflops'] = null;
  if (anyWorks) gemm = { one_thread: await gemmSpeed(1), all_threads: await gemmSpeed(cpus().length) };
  return {
    ok: nodeOk && anyWorks,
    versions,
    node_ok: nodeOk,
    machine: describeMachine(),
    free_memory_bytes: Math.min(freemem(), totalmem()),
    backends,
    gemm_gflops: gemm,
    advice,
  };
}
