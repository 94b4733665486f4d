import { allocate, type NDArray } from '../../tensor/array.js';
import { dtypeInfo, type TypedArray } from '../../tensor/dtype.js';
import { CheckpointError } from './checkpointError.js';
import { type CheckpointFile, chunkElements } from './checkpointFile.js';
import { type Codec, reading } from './codec.js';
import type { ReadOptions } from './tensorSource.js';
import { asWords, transposePanel } from './transposition.js';

/** Where and how a tensor lies in its file. */
export interface StoredTensor {
  readonly name: string;
  readonly codec: Codec;
  readonly shape: readonly number[];
  /** byte of the file where it starts */
  readonly offset: number;
  /** row r of the file is row rowMap[r] of the result */
  readonly rowMap?: Int32Array;
}

/** A rectangle of the matrix that one step reads: its elements are contiguous in the file. */
interface Segment {
  readonly row: number;
  readonly rows: number;
  readonly col: number;
  readonly cols: number;
}

/** Cuts rows x cols into contiguous pieces of at most chunkElements: several rows, or a part of one row at block boundaries. */
function segments(rows: number, cols: number, block: number): Segment[] {
  const out: Segment[] = [];
  if (cols <= chunkElements) {
    const step = Math.max(1, Math.floor(chunkElements / Math.max(1, cols)));
    for (let row = 0; row < rows; row += step) out.push({ row, rows: Math.min(step, rows - row), col: 0, cols });
  } else {
    const step = Math.floor(chunkElements / block) * block;
    for (let row = 0; row < rows; row++)
      for (let col = 0; col < cols; col += step) out.push({ row, rows: 1, col, cols: Math.min(step, cols - col) });
  }
  return out;
}

const bytesOf = (array: TypedArray): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Reads a tensor by pieces, converting, permuting and transposing each as it comes; the next piece is read meanwhile. */
export async function readTensor(file: CheckpointFile, stored: StoredTensor, options: ReadOptions = {}): Promise<NDArray> {
  const { codec, shape, rowMap, name } = stored;
  const { transpose = false } = options;
  if (transpose && shape.length !== 2)
    throw new CheckpointError(file.path, `"${name}" has the shape [${shape.join(', ')}]; only a matrix can be read transposed`);
  if (!codec.same && !codec.decode) throw new CheckpointError(file.path, `"${name}" has the type ${codec.name}, which Vitro does not read`);
  const { dtype, convert } = reading(codec, options.dtype ?? 'f32');
  const out = allocate(dtype, transpose ? [shape[1] as number, shape[0] as number] : shape);
  const target = out.data;
  if (target.length === 0) return out;
  if (!convert && !transpose && !rowMap) {
    await file.read(bytesOf(target), stored.offset);
    return out;
  }
  const byRows = transpose || rowMap !== undefined;
  const rows = byRows ? (shape[0] as number) : 1;
  const cols = target.length / rows;
  const pieces = segments(rows, cols, codec.blockElements);
  const byteLength = (elements: number): number => (elements / codec.blockElements) * codec.blockBytes;
  const buffers = [file.borrow(), file.borrow()] as const;
  const converted = byRows && convert ? file.borrow() : undefined;
  const start = async (i: number): Promise<Uint8Array | undefined> => {
    const piece = pieces[i];
    if (!piece) return undefined;
    const bytes = new Uint8Array(i & 1 ? buffers[1] : buffers[0], 0, byteLength(piece.rows * piece.cols));
    await file.read(bytes, stored.offset + byteLength(piece.row * cols + piece.col));
    return bytes;
  };
  let next = start(0);
  for (const [i, piece] of pieces.entries()) {
    const bytes = (await next) as Uint8Array;
    next = start(i + 1);
    const n = piece.rows * piece.cols;
    const at = piece.row * cols + piece.col;
    if (!byRows && convert) {
      convert(bytes, (target as Float32Array).subarray(at, at + n), n);
      continue;
    }
    const part = dtypeInfo[dtype].create(converted ?? (bytes.buffer as ArrayBuffer), 0, n);
    convert?.(bytes, part, n);
    place(part, target, piece, { rows, cols, transpose, rowMap });
  }
  for (const buffer of [...buffers, ...(converted ? [converted] : [])]) file.release(buffer);
  return out;
}

interface Layout {
  readonly rows: number;
  readonly cols: number;
  readonly transpose: boolean;
  readonly rowMap?: Int32Array;
}

/** Puts a piece of the file's matrix where it belongs in the result. */
function place(part: TypedArray, target: TypedArray, piece: Segment, { rows, cols, transpose, rowMap }: Layout): void {
  if (transpose) {
    const map = rowMap?.subarray(piece.row, piece.row + piece.rows);
    const offset = piece.col * rows + (map ? 0 : piece.row);
    transposePanel(
      { data: asWords(part), offset: 0, stride: piece.cols },
      { data: asWords(target), offset, stride: rows },
      piece.rows,
      piece.cols,
      map,
    );
    return;
  }
  for (let r = 0; r < piece.rows; r++) {
    const row = rowMap?.[piece.row + r] ?? piece.row + r;
    (target as Float32Array).set((part as Float32Array).subarray(r * piece.cols, (r + 1) * piece.cols), row * cols + piece.col);
  }
}
