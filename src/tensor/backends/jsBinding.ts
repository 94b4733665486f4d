import type { NDArray } from '../array.js';
import { dtypeInfo, type TypedArray } from '../dtype.js';
import { BackendError, VitroError } from '../errors.js';
import type { Device, ModelSpec, Port, SessionOptions } from './types.js';

/**
 * What onnxruntime-node and onnxruntime-web have in common: the names of onnxruntime-common's interfaces, reduced to the parts used here.
 */
export interface JsTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayBufferView;
}

export type TensorConstructor = new (type: string, data: ArrayBufferView, dims: readonly number[]) => JsTensor;

export interface JsSessionOptions {
  executionProviders: string[];
  graphOptimizationLevel: 'disabled' | 'basic' | 'extended' | 'all';
  enableMemPattern: boolean;
  logSeverityLevel: 4;
  extra: Record<string, string>;
  externalData?: { path: string; data: Uint8Array }[];
  intraOpNumThreads?: number;
  enableProfiling?: boolean;
  profileFilePrefix?: string;
}

/** Runs f and turns whatever foreign error it throws into a BackendError that says what was being done. */
export function guarded<T>(doing: string, f: () => T): T {
  try {
    return f();
  } catch (error) {
    throw backendError(doing, error);
  }
}

export function backendError(doing: string, error: unknown): VitroError {
  if (error instanceof VitroError) return error;
  return new BackendError(`${doing}: ${error instanceof Error ? error.message : String(error)}`);
}

/** Session options common to both packages. Initializers travel as external data under their own names. */
export function jsSessionOptions(
  spec: ModelSpec,
  options: SessionOptions,
  providers: Readonly<Partial<Record<Device, string>>>,
): JsSessionOptions {
  const provider = providers[options.device];
  if (provider === undefined)
    throw new BackendError(`device "${options.device}" does not exist here; devices that do: ${Object.keys(providers).join(', ')}`);
  for (const port of [...spec.inputs, ...spec.outputs])
    if (port.dtype === 'bf16')
      throw new BackendError(
        `"${port.name}" is bf16, which onnxruntime's JavaScript bindings cannot pass; use f16 or f32, or the backend "ort"`,
      );
  const out: JsSessionOptions = {
    executionProviders: [provider],
    graphOptimizationLevel: options.optimization ?? 'basic',
    enableMemPattern: options.memPattern ?? false,
    logSeverityLevel: 4,
    extra: { ...options.config },
  };
  if (spec.initializers?.size) {
    out.externalData = [...spec.initializers].map(([path, array]) => ({ path, data: bytesOf(unshared(array.data)) }));
  }
  return out;
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** The data itself, or a copy of it where it lives in a SharedArrayBuffer, which the bindings refuse. */
function unshared(data: TypedArray): TypedArray {
  return data.buffer instanceof ArrayBuffer ? data : data.slice();
}

export function checkCount(role: 'input' | 'output', ports: readonly Port[], arrays: readonly NDArray[]): void {
  if (arrays.length !== ports.length) throw new BackendError(`the model has ${ports.length} ${role}s, got ${arrays.length} arrays`);
}

export function checkDType(role: 'input' | 'output', port: Port, array: NDArray): void {
  if (array.dtype !== port.dtype) throw new BackendError(`${role} "${port.name}" is ${port.dtype}, got an array of ${array.dtype}`);
}

/** A tensor of the binding over each array's memory (copied where that is shared), by port name. */
export function toTensors(
  Tensor: TensorConstructor,
  role: 'input' | 'output',
  ports: readonly Port[],
  arrays: readonly NDArray[],
): Record<string, JsTensor> {
  checkCount(role, ports, arrays);
  const out: Record<string, JsTensor> = {};
  ports.forEach((port, i) => {
    const array = arrays[i] as NDArray;
    checkDType(role, port, array);
    out[port.name] = new Tensor(dtypeInfo[port.dtype].ortName, unshared(array.data), array.shape);
  });
  return out;
}

/** Copies a tensor's bytes into an array, unless they are the array's own memory. */
export function copyInto(array: NDArray, tensor: JsTensor): void {
  const { data } = array;
  if (tensor.data.buffer === data.buffer && tensor.data.byteOffset === data.byteOffset) return;
  bytesOf(data).set(bytesOf(tensor.data));
}
