import { bf16ToF32, type DType, dtypeInfo, dtypeOf, f16ToF32, f32ToBf16, f32ToF16, type TypedArray } from './dtype.js';
import { DisposedError, OpError, VitroError } from './errors.js';

/** Nested plain numbers, as `array([[1, 2], [3, 4]])` takes them. */
export type Nested = number | readonly Nested[];

/**
 * A host array: dtype, shape and row-major data. Compiled functions read it without a copy.
 * `data` throws once the array was disposed or donated to a compiled function.
 */
export class NDArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  #data: TypedArray | undefined;
  #gone = '';

  constructor(dtype: DType, shape: readonly number[], data: TypedArray) {
    const size = checkedSize(shape);
    if (data.length !== size)
      throw new OpError('array', `shape [${shape.join(', ')}] holds ${size} elements, but the data has ${data.length}`);
    if (data.BYTES_PER_ELEMENT !== dtypeInfo[dtype].bytes)
      throw new OpError('array', `${data.constructor.name} cannot hold ${dtype} (${dtypeInfo[dtype].bytes} bytes an element)`);
    this.dtype = dtype;
    this.shape = [...shape];
    this.#data = data;
  }

  get data(): TypedArray {
    if (!this.#data) throw new DisposedError(`array ${this.dtype}[${this.shape.join(', ')}] was ${this.#gone}`);
    return this.#data;
  }

  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  get isDisposed(): boolean {
    return this.#data === undefined;
  }

  /** Gives the memory up; any later use is an error that says `why`. */
  dispose(why = 'used after dispose'): void {
    this.#data = undefined;
    this.#gone = why;
  }

  /** The values as numbers (f16 and bf16 decoded), flat in row-major order. */
  toNumbers(): number[] {
    const { data, dtype } = this;
    if (dtype === 'f16') return Array.from(data as Uint16Array, f16ToF32);
    if (dtype === 'bf16') return Array.from(data as Uint16Array, bf16ToF32);
    return Array.from(data as Float32Array, Number);
  }

  /** The values as nested arrays of numbers; a scalar is a number. */
  toNested(): Nested {
    const flat = this.toNumbers();
    const build = (axis: number, offset: number, stride: number): Nested => {
      if (axis === this.shape.length) return flat[offset] as number;
      const n = this.shape[axis] as number;
      const step = n ? stride / n : 0;
      return Array.from({ length: n }, (_, i) => build(axis + 1, offset + i * step, step));
    };
    return build(0, 0, flat.length);
  }

  /** The single value of a one-element array. */
  item(): number {
    if (this.size !== 1) throw new OpError('item', `needs one element, got shape [${this.shape.join(', ')}]`);
    return this.toNumbers()[0] as number;
  }

  /** An independent copy. */
  clone(): NDArray {
    const out = allocate(this.dtype, this.shape);
    (out.data as Float32Array).set(this.data as Float32Array);
    return out;
  }
}

/** Product of a concrete shape; refuses NaN, fractions, negatives and overflow by name. */
export function checkedSize(shape: readonly number[]): number {
  for (const d of shape)
    if (!Number.isInteger(d) || d < 0)
      throw new OpError('array', `shape [${shape.join(', ')}] has the size ${d}; sizes are non-negative integers`);
  const size = shape.reduce((a, b) => a * b, 1);
  if (!Number.isSafeInteger(size)) throw new OpError('array', `shape [${shape.join(', ')}] has too many elements`);
  return size;
}

/** A zero-filled array. With `shared`, the memory is a SharedArrayBuffer that worker threads can map. */
export function allocate(dtype: DType, shape: readonly number[], options: { shared?: boolean } = {}): NDArray {
  const size = checkedSize(shape);
  const bytes = size * dtypeInfo[dtype].bytes;
  const buffer = options.shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  return new NDArray(dtype, shape, dtypeInfo[dtype].create(buffer, 0, size));
}

/** Encodes plain numbers as a typed array of the dtype. */
export function encode(dtype: DType, values: ArrayLike<number>): TypedArray {
  const n = values.length;
  const out = dtypeInfo[dtype].create(new ArrayBuffer(n * dtypeInfo[dtype].bytes), 0, n);
  if (dtype === 'i64') {
    for (let i = 0; i < n; i++) (out as BigInt64Array)[i] = BigInt(Math.trunc(values[i] as number));
  } else {
    const put =
      dtype === 'f16' ? f32ToF16 : dtype === 'bf16' ? f32ToBf16 : dtype === 'bool' ? (x: number) => (x ? 1 : 0) : (x: number) => x;
    for (let i = 0; i < n; i++) (out as Float32Array)[i] = put(values[i] as number);
  }
  return out;
}

/**
 * Makes an array from nested numbers, a flat list with a shape, or a typed array (adopted without a copy).
 * The dtype defaults to f32 for numbers and to the typed array's own otherwise.
 */
export function array(
  values: Nested | TypedArray | readonly boolean[],
  options: { shape?: readonly number[]; dtype?: DType } = {},
): NDArray {
  if (ArrayBuffer.isView(values)) {
    const data = values as TypedArray;
    return new NDArray(options.dtype ?? dtypeOf(data), options.shape ?? [data.length], data);
  }
  const flat: number[] = [];
  const shape: number[] = [];
  const visit = (v: Nested | boolean, depth: number): void => {
    if (Array.isArray(v)) {
      if (shape[depth] === undefined) shape[depth] = v.length;
      else if (shape[depth] !== v.length)
        throw new OpError('array', `ragged nesting at depth ${depth}: lengths ${shape[depth]} and ${v.length}`);
      for (const x of v) visit(x, depth + 1);
    } else {
      if (depth !== shape.length) throw new OpError('array', 'ragged nesting: a number stands beside a list');
      flat.push(Number(v));
    }
  };
  visit(values as Nested, 0);
  const dtype = options.dtype ?? 'f32';
  return new NDArray(dtype, options.shape ?? shape, encode(dtype, flat));
}

export const zeros = (shape: readonly number[], dtype: DType = 'f32'): NDArray => allocate(dtype, shape);

export function full(shape: readonly number[], value: number, dtype: DType = 'f32'): NDArray {
  const out = allocate(dtype, shape);
  const one = encode(dtype, [value]);
  (out.data as Float32Array).fill(one[0] as number);
  return out;
}

export const ones = (shape: readonly number[], dtype: DType = 'f32'): NDArray => full(shape, 1, dtype);

/** Throws unless `value` is an NDArray; used where JavaScript callers could pass anything. */
export function expectArray(value: unknown, what: string): NDArray {
  if (value instanceof NDArray) return value;
  throw new VitroError(`${what} must be an NDArray (use array(...)), got ${value === null ? 'null' : typeof value}`);
}
