import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { array, zeros } from '../array.js';
import { BackendError } from '../errors.js';
import { canLoad, libraryPath } from './capi.js';
import type { Device, ModelSpec, Session, SessionOptions } from './types.js';

/** y = x + x over float[4], serialized: the smallest model that exercises a device. */
export const probeModel = new Uint8Array(
  Buffer.from(
    'CAo6OwoRCgF4CgF4EgF5GgF5IgNBZGQSBHRlc3RaDwoBeBIKCggIARIECgIIBGIPCgF5EgoKCAgBEgQKAggEQgQKABAVQhEKDWNvbS5taWNyb3NvZnQQAQ==',
    'base64',
  ),
);

/** Finds out which devices of a backend work by running a small model on each, once. */
export class DeviceProbes {
  readonly #create: (spec: ModelSpec, options: SessionOptions) => Session;
  readonly #problems = new Map<Device, string | undefined>();

  constructor(create: (spec: ModelSpec, options: SessionOptions) => Session) {
    this.#create = create;
  }

  working(): Device[] {
    return (['cpu', 'cuda', 'webgpu'] as const).filter((device) => this.#problem(device) === undefined);
  }

  /** Throws a BackendError that says why the device does not work and which do. */
  require(device: Device): void {
    const problem = this.#problem(device);
    if (problem === undefined) return;
    throw new BackendError(`device "${device}" does not work here (${problem}); devices that do: ${this.working().join(', ')}`);
  }

  #problem(device: Device): string | undefined {
    if (device === 'cpu') return undefined;
    if (!this.#problems.has(device)) this.#problems.set(device, this.#probe(device));
    return this.#problems.get(device);
  }

  #probe(device: Device): string | undefined {
    try {
      const missing = missingLibrary(device);
      if (missing) return `${missing} is not installed`;
      const x = array([1, 2, 3, 4]);
      const y = zeros([4]);
      const spec: ModelSpec = { model: probeModel, inputs: [{ name: 'x', dtype: 'f32' }], outputs: [{ name: 'y', dtype: 'f32' }] };
      const session = this.#create(spec, { device });
      session.runSync([x], [y]);
      session.dispose();
      return y.toNumbers().join() === '2,4,6,8' ? undefined : 'it adds wrongly';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

/** The library without which a device cannot work, where it is absent: asking ONNX Runtime instead makes it write to stderr. */
function missingLibrary(device: Device): string | undefined {
  if (device === 'webgpu') return process.platform === 'linux' && !canLoad('libvulkan.so.1') ? 'libvulkan.so.1' : undefined;
  const provider = process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
  return existsSync(join(dirname(libraryPath()), provider)) ? undefined : provider;
}
