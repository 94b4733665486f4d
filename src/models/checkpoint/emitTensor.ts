import { NDArray } from '../../tensor/array.js';
import { type DType, dtypeInfo, isFloat, type TypedArray } from '../../tensor/dtype.js';
import { VitroError } from '../../tensor/errors.js';
import { chunkElements } from './checkpointFile.js';
import { decodeFloats, encodeFloats } from './codec.js';
import type { FloatDType, TensorSource } from './tensorSource.js';
import { asWords, transposePanel } from './transposition.js';

/** A tensor that is fetched only when its turn to be written comes. */
export interface LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  load(): Promise<NDArray>;
}

export type WritableTensor = NDArray | LazyTensor;

/** Named tensors to write: pairs, or an open checkpoint whose tensors are read one by one. */
export type WritableTensors = Iterable<readonly [string, WritableTensor]> | TensorSource;

const isSource = (tensors: WritableTensors): tensors is TensorSource => 'names' in tensors && 'read' in tensors;

const engineDType: Readonly<Record<string, DType>> = {
  F16: 'f16',
  BF16: 'bf16',
  I64: 'i64',
  I32: 'i32',
  I16: 'i32',
  I8: 'i32',
  U16: 'i32',
  U32: 'u32',
  U8: 'u8',
  BOOL: 'bool',
};

/** The pairs of `tensors`; of an open checkpoint each tensor keeps its type (quantized ones become f32). */
export function tensorEntries(tensors: WritableTensors): [string, WritableTensor][] {
  if (!isSource(tensors)) return Array.from(tensors, ([name, tensor]) => [name, tensor]);
  return tensors.names.map((name) => {
    const info = tensors.info(name);
    const dtype = engineDType[info.dtype] ?? 'f32';
    const load = (): Promise<NDArray> => tensors.read(name, { dtype: isFloat(dtype) ? (dtype as FloatDType) : undefined });
    return [name, { dtype, shape: info.shape, load }];
  });
}

export const loadTensor = async (tensor: WritableTensor): Promise<NDArray> => (tensor instanceof NDArray ? tensor : tensor.load());

/** Shape as it is written. Throws unless a transposed tensor is a matrix. */
export function writtenShape(name: string, shape: readonly number[], transpose: boolean): readonly number[] {
  if (!transpose) return shape;
  if (shape.length !== 2) throw new VitroError(`"${name}" has the shape [${shape.join(', ')}]; only a matrix can be written transposed`);
  return [shape[1] as number, shape[0] as number];
}

/** Elements of an array in the order in which they are written, by pieces; a piece is valid until the next is asked for. */
export function* pieces(tensor: NDArray, transpose: boolean, granularity = 1): Generator<TypedArray> {
  const { data, dtype, shape } = tensor;
  if (!transpose) {
    const step = Math.max(1, Math.floor(chunkElements / granularity)) * granularity;
    for (let at = 0; at < data.length; at += step) yield (data as Float32Array).subarray(at, Math.min(data.length, at + step));
    return;
  }
  const [rows = 0, cols = 0] = shape;
  // output rows, each a multiple of `granularity` by the caller's choice of format
  const step = Math.max(1, Math.floor(chunkElements / Math.max(1, rows)));
  const scratch = dtypeInfo[dtype].create(
    new ArrayBuffer(Math.min(step, cols) * rows * dtypeInfo[dtype].bytes),
    0,
    Math.min(step, cols) * rows,
  );
  for (let col = 0; col < cols; col += step) {
    const n = Math.min(step, cols - col);
    transposePanel({ data: asWords(data), offset: col, stride: cols }, { data: asWords(scratch), offset: 0, stride: rows }, rows, n);
    yield (scratch as Float32Array).subarray(0, n * rows);
  }
}

/** The pieces of a floating-point array decoded to f32. */
export function* floatPieces(tensor: NDArray, transpose: boolean, granularity = 1): Generator<Float32Array> {
  let scratch = new Float32Array(0);
  for (const piece of pieces(tensor, transpose, granularity)) {
    if (tensor.dtype === 'f32') yield piece as Float32Array;
    else {
      if (scratch.length < piece.length) scratch = new Float32Array(piece.length);
      decodeFloats(piece, tensor.dtype, 0, piece.length, scratch);
      yield scratch.subarray(0, piece.length);
    }
  }
}

/** All values as f32 in fresh memory, the matrix transposed if wanted. */
export function floatCopy(tensor: NDArray, turn: boolean): NDArray {
  const out = new Float32Array(tensor.size);
  let at = 0;
  for (const piece of floatPieces(tensor, turn)) {
    out.set(piece, at);
    at += piece.length;
  }
  return new NDArray('f32', turn ? [...tensor.shape].reverse() : tensor.shape, out);
}

const bytesOf = (array: TypedArray): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Bytes of an array as `dtype`, by pieces. Floating-point types convert among each other; integers stay what they are. */
export function* encodedPieces(tensor: NDArray, dtype: DType, transpose: boolean): Generator<Uint8Array> {
  if (tensor.dtype === dtype) {
    for (const piece of pieces(tensor, transpose)) yield bytesOf(piece);
    return;
  }
  if (!isFloat(tensor.dtype) || !isFloat(dtype)) throw new VitroError(`cannot write ${tensor.dtype} as ${dtype}`);
  let scratch = dtypeInfo[dtype].create(new ArrayBuffer(0), 0, 0);
  for (const piece of floatPieces(tensor, transpose)) {
    if (scratch.length < piece.length)
      scratch = dtypeInfo[dtype].create(new ArrayBuffer(piece.length * dtypeInfo[dtype].bytes), 0, piece.length);
    encodeFloats(piece, dtype as FloatDType, scratch, piece.length);
    yield bytesOf(scratch).subarray(0, piece.length * dtypeInfo[dtype].bytes);
  }
}
