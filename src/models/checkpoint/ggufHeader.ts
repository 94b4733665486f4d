import { CheckpointError } from './checkpointError.js';
import type { CheckpointFile } from './checkpointFile.js';
import { isSaneName, productOf } from './checks.js';
import { type GgufField, type GgufValueType, ggmlTypes, ggufNumbers, ggufValueTypes, plainValue } from './ggufTypes.js';
import type { StoredTensor } from './readTensor.js';

/** Metadata past this size is refused; real vocabularies take a few megabytes. */
const maxHeaderBytes = 256 << 20;
const maxDepth = 3;
const maxAlignment = 1 << 20;

export interface GgufHeader {
  readonly version: number;
  readonly fields: ReadonlyMap<string, GgufField>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Thrown by the cursor where the bytes read so far do not suffice, though the file goes on. */
const needMore = Symbol('need more bytes');

/** Reads little-endian values one after another out of the first bytes of a file. */
class Cursor {
  position = 0;
  readonly #view: DataView;
  readonly #buffer: Buffer;

  constructor(
    readonly path: string,
    readonly bytes: Uint8Array,
    readonly fileSize: number,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(detail: string): never {
    throw new CheckpointError(this.path, `no valid GGUF file: ${detail}`);
  }

  /** Moves past n bytes and returns where they start. */
  take(n: number, what: string): number {
    const end = this.position + n;
    if (end > this.fileSize) this.fail(`${what} would end at byte ${end}, the file has ${this.fileSize}; it is truncated or damaged`);
    if (end > maxHeaderBytes) this.fail(`its metadata is larger than ${maxHeaderBytes} bytes`);
    if (end > this.bytes.byteLength) throw needMore;
    this.position = end;
    return end - n;
  }

  u32(what: string): number {
    return this.#view.getUint32(this.take(4, what), true);
  }

  /** An unsigned 64-bit count; past 2^53 it cannot be true of any file. */
  count(what: string): number {
    const value = this.#view.getBigUint64(this.take(8, what), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`${what} is ${value}, which no file can hold`);
    return Number(value);
  }

  string(what: string): string {
    const length = this.count(`the length of ${what}`);
    const start = this.take(length, what);
    return this.#buffer.toString('utf8', start, start + length);
  }

  field(what: string, depth = 0): GgufField {
    return this.value(this.type(what), what, depth);
  }

  private type(what: string): GgufValueType {
    const code = this.u32(`the type of ${what}`);
    return ggufValueTypes[code] ?? this.fail(`${what} has the unknown value type ${code}`);
  }

  private value(type: GgufValueType, what: string, depth: number): GgufField {
    if (type === 'string') return { type, value: this.string(what) };
    if (type === 'bool') return { type, value: this.bytes[this.take(1, what)] !== 0 };
    if (type === 'array') return this.array(what, depth);
    const { bytes, view } = ggufNumbers[type];
    const start = this.take(bytes, what);
    const value = view(this.bytes.slice(start, start + bytes).buffer as ArrayBuffer)[0] as number | bigint;
    return { type, value: typeof value === 'bigint' && BigInt.asIntN(54, value) === value ? Number(value) : value };
  }

  private array(what: string, depth: number): GgufField {
    if (depth === maxDepth) this.fail(`${what} nests arrays deeper than ${maxDepth} levels`);
    const of = this.type(what);
    const length = this.count(`the length of ${what}`);
    if (of === 'string') {
      this.plausible(length, 8, what);
      return { type: 'array', of, value: Array.from({ length }, () => this.string(what)) };
    }
    if (of === 'array') {
      this.plausible(length, 12, what);
      return { type: 'array', of, value: Array.from({ length }, () => this.array(what, depth + 1)) };
    }
    if (of === 'bool') {
      const start = this.take(length, what);
      return { type: 'array', of, value: Array.from(this.bytes.subarray(start, start + length), (b) => b !== 0) };
    }
    const { bytes, view } = ggufNumbers[of];
    const start = this.take(length * bytes, what);
    return { type: 'array', of, value: view(this.bytes.slice(start, start + length * bytes).buffer as ArrayBuffer) };
  }

  /** Refuses a count of elements that the rest of the file cannot hold, before anything is allocated for it. */
  private plausible(count: number, leastBytes: number, what: string): void {
    const position = this.position;
    this.take(count * leastBytes, what);
    this.position = position;
  }
}

/** Reads and checks everything of a GGUF file (version 2 or 3, little-endian) but the tensor data. */
export async function readGgufHeader(file: CheckpointFile): Promise<GgufHeader> {
  for (let length = Math.min(file.size, 1 << 20); ; length = Math.min(file.size, length * 4)) {
    const cursor = new Cursor(file.path, await file.bytes(0, length), file.size);
    try {
      return parse(cursor);
    } catch (error) {
      if (error !== needMore) throw error;
    }
  }
}

function parse(cursor: Cursor): GgufHeader {
  if (cursor.u32('the magic number') !== 0x46554747) cursor.fail('it does not start with "GGUF"');
  const version = cursor.u32('the version');
  if (version !== 2 && version !== 3)
    cursor.fail(
      version === 1
        ? 'version 1 is no longer read; convert it with a llama.cpp of 2023'
        : version > 0xffff
          ? 'it is big-endian; convert it with gguf_convert_endian.py'
          : `version ${version} is unknown; Vitro reads 2 and 3`,
    );
  const tensorCount = cursor.count('the number of tensors');
  const fieldCount = cursor.count('the number of metadata values');
  const fields = new Map<string, GgufField>();
  for (let i = 0; i < fieldCount; i++) {
    const key = cursor.string(`metadata key ${i}`);
    const shown = JSON.stringify(key.slice(0, 80));
    if (!isSaneName(key)) cursor.fail(`the metadata key ${shown} is no usable name`);
    if (fields.has(key)) cursor.fail(`the metadata key ${shown} stands twice`);
    fields.set(key, cursor.field(`metadata ${shown}`));
  }
  const alignment = alignmentOf(fields, cursor);
  const infos = Array.from(tensorInfos(cursor, tensorCount));
  const start = Math.ceil(cursor.position / alignment) * alignment;
  return { version, fields, tensors: placeTensors(cursor, infos, start, alignment) };
}

function alignmentOf(fields: ReadonlyMap<string, GgufField>, cursor: Cursor): number {
  const field = fields.get('general.alignment');
  if (!field) return 32;
  const value = Number(field.type === 'array' ? Number.NaN : field.value);
  if (!Number.isInteger(value) || value < 1 || value > maxAlignment || (value & (value - 1)) !== 0)
    cursor.fail(`general.alignment is ${String(plainValue(field))}; a power of two up to ${maxAlignment} is expected`);
  return value;
}

interface TensorEntry extends StoredTensor {
  readonly bytes: number;
}

function* tensorInfos(cursor: Cursor, count: number): Generator<TensorEntry> {
  for (let i = 0; i < count; i++) {
    const name = cursor.string(`the name of tensor ${i}`);
    const shown = JSON.stringify(name.slice(0, 80));
    if (!isSaneName(name)) cursor.fail(`the tensor name ${shown} is no usable name`);
    const rank = cursor.u32(`the rank of tensor ${shown}`);
    if (rank > 4) cursor.fail(`tensor ${shown} has ${rank} dimensions, at most 4 are possible`);
    // the file lists the fastest dimension first
    const shape = Array.from({ length: rank }, () => cursor.count(`a size of tensor ${shown}`)).reverse();
    const code = cursor.u32(`the type of tensor ${shown}`);
    const codec = ggmlTypes.get(code) ?? cursor.fail(`tensor ${shown} has the unknown element type ${code}`);
    const size = productOf(shape);
    if (size === undefined || (shape.at(-1) ?? 1) % codec.blockElements !== 0)
      return cursor.fail(
        `tensor ${shown} has the shape [${shape.join(', ')}], which ${codec.name} with blocks of ${codec.blockElements} cannot have`,
      );
    const offset = cursor.count(`the offset of tensor ${shown}`);
    yield { name, codec, shape, offset, bytes: (size / codec.blockElements) * codec.blockBytes };
  }
}

/** Checks that the tensors lie aligned, apart from each other and inside the file. */
function placeTensors(cursor: Cursor, infos: readonly TensorEntry[], start: number, alignment: number): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  let end = 0;
  for (const { bytes, ...tensor } of [...infos].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    const shown = JSON.stringify(tensor.name);
    if (tensor.offset % alignment !== 0)
      cursor.fail(`tensor ${shown} starts at byte ${tensor.offset} of the data, no multiple of the alignment ${alignment}`);
    if (tensor.offset < end) cursor.fail(`tensor ${shown} overlaps the one before it`);
    end = tensor.offset + bytes;
    if (start + end > cursor.fileSize)
      cursor.fail(`tensor ${shown} ends at byte ${start + end}, the file has ${cursor.fileSize}; it is truncated or damaged`);
    if (tensors.has(tensor.name)) cursor.fail(`the tensor name ${shown} stands twice`);
    tensors.set(tensor.name, tensor);
  }
  return new Map(
    infos.map(({ name }) => [name, { ...(tensors.get(name) as StoredTensor), offset: start + (tensors.get(name) as StoredTensor).offset }]),
  );
}
