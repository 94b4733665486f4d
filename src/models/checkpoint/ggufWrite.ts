import { isFloat } from '../../tensor/dtype.js';
import { VitroError } from '../../tensor/errors.js';
import { type AtomicFile, type WriteOptions, writeFiles } from './atomicFile.js';
import { isSaneName, productOf } from './checks.js';
import {
  encodedPieces,
  floatPieces,
  loadTensor,
  tensorEntries,
  type WritableTensor,
  type WritableTensors,
  writtenShape,
} from './emitTensor.js';
import { quantizeBlocksAs } from './ggufQuants.js';
import { type GgufField, type GgufTensorType, ggmlTypeCode, ggmlTypes, ggufNumbers, ggufValueTypes } from './ggufTypes.js';

export interface GgufWriteOptions extends WriteOptions {
  readonly metadata: Readonly<Record<string, GgufField>>;
  /** names as they stand in the file */
  readonly tensors: WritableTensors;
  /** type of the matrices (default F16). Vectors become F32; rows that do not divide into blocks of 32 become F16; i32 stays. */
  readonly dtype?: GgufTensorType;
  /** tensors to transpose while writing; GGUF's matrices are [out, in] */
  readonly transpose?: (name: string) => boolean;
}

/** Little-endian bytes that grow. */
class Bytes {
  readonly #parts: Uint8Array[] = [];

  add(part: Uint8Array): void {
    this.#parts.push(part);
  }

  u32(value: number): void {
    this.add(new Uint8Array(Uint32Array.of(value).buffer));
  }

  u64(value: number): void {
    this.add(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.add(bytes);
  }

  join(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

const typeCode = (type: GgufField['type']): number => ggufValueTypes.indexOf(type);

function putNumbers(out: Bytes, key: string, type: keyof typeof ggufNumbers, values: ArrayLike<number | bigint>): void {
  const { bytes, view } = ggufNumbers[type];
  const array = view(new ArrayBuffer(values.length * bytes));
  for (let i = 0; i < values.length; i++) {
    const given = values[i] as number | bigint;
    const wide = array instanceof BigInt64Array || array instanceof BigUint64Array;
    if (wide && typeof given === 'number' && !Number.isInteger(given))
      throw new VitroError(`GGUF metadata "${key}": ${given} is no ${type}`);
    array[i] = wide ? BigInt(given) : Number(given);
    const exact = type === 'f32' || type === 'f64' || Number(array[i]) === Number(given);
    if (!exact) throw new VitroError(`GGUF metadata "${key}": ${given} does not fit ${type}`);
  }
  out.add(new Uint8Array(array.buffer));
}

function putField(out: Bytes, key: string, field: GgufField): void {
  if (field.type === 'string') out.string(field.value);
  else if (field.type === 'bool') out.add(Uint8Array.of(field.value ? 1 : 0));
  else if (field.type !== 'array') putNumbers(out, key, field.type, [field.value]);
  else {
    out.u32(typeCode(field.of));
    out.u64(field.value.length);
    if (field.of === 'string') for (const text of field.value) out.string(text);
    else if (field.of === 'bool') out.add(Uint8Array.from(field.value, (v) => (v ? 1 : 0)));
    else if (field.of === 'array') for (const inner of field.value) putField(out, key, inner);
    else putNumbers(out, key, field.of, field.value);
  }
}

interface Planned {
  readonly name: string;
  readonly tensor: WritableTensor;
  readonly shape: readonly number[];
  readonly transpose: boolean;
  readonly type: GgufTensorType | 'I32';
  readonly offset: number;
  readonly bytes: number;
}

function typeFor(name: string, { dtype }: WritableTensor, shape: readonly number[], wanted: GgufTensorType): GgufTensorType | 'I32' {
  if (dtype === 'i32') return 'I32';
  if (!isFloat(dtype)) throw new VitroError(`writeGguf: "${name}" is ${dtype}; GGUF takes floating-point tensors and i32`);
  if (shape.length < 2) return 'F32';
  return (wanted === 'Q8_0' || wanted === 'Q4_0') && (shape.at(-1) as number) % 32 !== 0 ? 'F16' : wanted;
}

function plan({ tensors, dtype = 'F16', transpose }: GgufWriteOptions, alignment: number): Planned[] {
  const seen = new Set<string>();
  let offset = 0;
  return tensorEntries(tensors).map(([name, tensor]) => {
    if (!isSaneName(name) || name.length > 63)
      throw new VitroError(`writeGguf: ${JSON.stringify(name)} is no usable tensor name; ggml allows 63 characters`);
    if (seen.has(name)) throw new VitroError(`writeGguf: two tensors are named "${name}"`);
    seen.add(name);
    const turned = transpose?.(name) ?? false;
    const shape = writtenShape(name, tensor.shape, turned);
    if (shape.length > 4) throw new VitroError(`writeGguf: "${name}" has ${shape.length} dimensions, GGUF allows 4`);
    const type = typeFor(name, tensor, shape, dtype);
    const { blockElements = 1, blockBytes = 1 } = ggmlTypes.get(ggmlTypeCode[type]) ?? {};
    const bytes = ((productOf(shape) ?? Number.NaN) / blockElements) * blockBytes;
    const planned = { name, tensor, shape, transpose: turned, type, offset, bytes };
    offset += Math.ceil(bytes / alignment) * alignment;
    return planned;
  });
}

function header(planned: readonly Planned[], metadata: Readonly<Record<string, GgufField>>): Uint8Array {
  const out = new Bytes();
  out.u32(0x46554747);
  out.u32(3);
  out.u64(planned.length);
  const fields = Object.entries(metadata);
  out.u64(fields.length);
  for (const [key, field] of fields) {
    out.string(key);
    out.u32(typeCode(field.type));
    putField(out, key, field);
  }
  for (const { name, shape, type, offset } of planned) {
    out.string(name);
    out.u32(shape.length);
    for (const size of [...shape].reverse()) out.u64(size);
    out.u32(ggmlTypeCode[type]);
    out.u64(offset);
  }
  return out.join();
}

async function writeTensor(file: AtomicFile, { name, tensor, transpose, type, bytes }: Planned): Promise<void> {
  const start = file.position;
  const array = await loadTensor(tensor);
  if (type === 'Q8_0' || type === 'Q4_0') {
    for (const piece of floatPieces(array, transpose, 32)) await file.write(quantizeBlocksAs(type, piece, piece.length));
  } else {
    const dtype = ({ F32: 'f32', F16: 'f16', BF16: 'bf16', I32: 'i32' } as const)[type];
    for (const piece of encodedPieces(array, dtype, transpose)) await file.write(piece);
  }
  if (file.position - start !== bytes) throw new VitroError(`writeGguf: "${name}" changed its size while it was written`);
}

/** Writes a GGUF file of version 3 by streaming, whole or not at all. Tensors and metadata keep the order in which they are given. */
export async function writeGguf(path: string, options: GgufWriteOptions): Promise<void> {
  const given = options.metadata['general.alignment'];
  const alignment = given && given.type !== 'array' ? Number(given.value) : 32;
  if (!Number.isInteger(alignment) || alignment < 8 || (alignment & (alignment - 1)) !== 0)
    throw new VitroError(`writeGguf: general.alignment must be a power of two of at least 8, got ${alignment}`);
  const planned = plan(options, alignment);
  const produce = async (file: AtomicFile): Promise<void> => {
    await file.write(header(planned, options.metadata));
    await file.align(alignment);
    for (const tensor of planned) {
      await writeTensor(file, tensor);
      await file.align(alignment);
    }
  };
  await writeFiles([{ path, produce }], options);
}
