import type { NDArray } from '../array.js';
import { type DType, dtypeInfo, type TypedArray } from '../dtype.js';
import { BackendError } from '../errors.js';
import { type Runtime, runtime } from './ortRuntime.js';

interface Value {
  /** OrtValue* */
  readonly handle: bigint;
  readonly length: number;
}

const values = new WeakMap<NDArray, Value>();
const unreachable = new FinalizationRegistry<bigint>((handle) => runtime().api.ReleaseValue(handle));

const scratchDims = new BigInt64Array(new ArrayBuffer(16 * 8));
/** Stands for the memory of empty arrays, whose own address is NULL. */
const nothing = new BigUint64Array(new ArrayBuffer(64));

/**
 * The OrtValue* over an array's own memory (no copy), made once per array and freed with it. Throws when the array was disposed, or when
 * its memory was detached (an ArrayBuffer that was transferred to a worker, a WebAssembly.Memory that grew).
 * The caller keeps the array and its data referenced for as long as ONNX Runtime may touch them.
 */
export function ortValue(rt: Runtime, array: NDArray): bigint {
  const data = array.data;
  const known = values.get(array);
  if (known) {
    if (data.length !== known.length) throw detached(array);
    return known.handle;
  }
  if (data.length !== array.size) throw detached(array);
  const handle = createValue(rt, array.dtype, array.shape, data);
  values.set(array, { handle, length: data.length });
  unreachable.register(array, handle);
  return handle;
}

const detached = (array: NDArray): BackendError =>
  new BackendError(
    `the memory of array ${array.dtype}[${array.shape.join(', ')}] was detached (transferred to a worker, or a WebAssembly memory that grew); pass a copy, or use a SharedArrayBuffer`,
  );

/** An OrtValue* over `data` that the caller frees with ReleaseValue. */
export function createValue(rt: Runtime, dtype: DType, shape: readonly number[], data: TypedArray): bigint {
  const { api } = rt;
  const dims = shape.length <= scratchDims.length ? scratchDims : new BigInt64Array(new ArrayBuffer(shape.length * 8));
  for (let i = 0; i < shape.length; i++) dims[i] = BigInt(shape[i] as number);
  // V8 may keep the elements of a small typed array on its own heap, where they move: asking for the buffer fixes them.
  const memory = data.byteLength > 0 && data.buffer ? data : nothing;
  return api.pointer('describing an array', (out) =>
    api.CreateTensorWithDataAsOrtValue(rt.cpuMemory, memory, data.byteLength, dims, shape.length, dtypeInfo[dtype].onnx, out),
  );
}
