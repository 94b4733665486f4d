import { CheckpointError } from './checkpointError.js';
import type { CheckpointFile } from './checkpointFile.js';
import { isSaneName, productOf } from './checks.js';
import { type Codec, codecs } from './codec.js';
import { jsonComplaint } from './jsonKeys.js';
import type { StoredTensor } from './readTensor.js';

/** Largest header that is accepted, as in the reference implementation. */
export const maxHeaderBytes = 100_000_000;

const unread = (name: string, blockBytes: number): Codec => ({ name, blockElements: 1, blockBytes });

const dtypes: Readonly<Record<string, Codec>> = {
  F32: codecs.F32,
  F16: codecs.F16,
  BF16: codecs.BF16,
  F64: codecs.F64,
  I64: codecs.I64,
  I32: codecs.I32,
  I16: codecs.I16,
  U32: codecs.U32,
  U16: codecs.U16,
  I8: codecs.I8,
  U8: codecs.U8,
  BOOL: codecs.BOOL,
  U64: unread('U64', 8),
  F8_E4M3: unread('F8_E4M3', 1),
  F8_E5M2: unread('F8_E5M2', 1),
};

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * Reads and checks the header of a safetensors file: 8 bytes with the length of a JSON object {name: {dtype, shape, data_offsets}}, the
 * object, then the data, which the tensors must cover without a gap or an overlap (https://github.com/huggingface/safetensors, "Format").
 */
export async function readSafetensorsHeader(file: CheckpointFile): Promise<SafetensorsHeader> {
  const fail = (detail: string, cause?: unknown): never => {
    throw new CheckpointError(file.path, `no valid safetensors file: ${detail}`, { cause });
  };
  if (file.size < 8) fail(`${file.size} bytes are too few for a header`);
  const head = await file.bytes(0, 8);
  const length = Number(new DataView(head.buffer).getBigUint64(0, true));
  if (length > maxHeaderBytes) fail(`its header claims ${length} bytes, at most ${maxHeaderBytes} are accepted`);
  if (length > file.size - 8)
    fail(`its header claims ${length} bytes, the file has ${file.size - 8} after the first 8; it is truncated or of another format`);
  let parsed: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await file.bytes(8, length));
    const complaint = jsonComplaint(text);
    if (complaint) fail(`its header ${complaint}`);
    parsed = JSON.parse(text);
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    fail(`its header is no JSON in UTF-8 (${(error as Error).message})`, error);
  }
  if (!isRecord(parsed)) return fail('its header is no JSON object');
  const dataStart = 8 + length;
  const dataBytes = file.size - dataStart;
  const tensors: { name: string; codec: Codec; shape: number[]; begin: number; end: number }[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(parsed)) {
    if (name === '__metadata__') {
      if (!isRecord(entry) || Object.values(entry).some((v) => typeof v !== 'string')) fail('its __metadata__ must map strings to strings');
      metadata = entry as Record<string, string>;
      continue;
    }
    const shown = JSON.stringify(name.slice(0, 80));
    if (!isSaneName(name)) fail(`the tensor name ${shown} is empty, longer than 1024 characters, reserved or holds control characters`);
    if (!isRecord(entry)) return fail(`tensor ${shown} is described by no object`);
    const { dtype, shape, data_offsets: offsets } = entry;
    const codec = typeof dtype === 'string' && Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : undefined;
    if (!codec) return fail(`tensor ${shown} has the unknown dtype ${JSON.stringify(dtype)}`);
    if (!Array.isArray(shape) || shape.length > 32 || !shape.every(isSize))
      return fail(`tensor ${shown} has the shape ${JSON.stringify(shape)}; sizes are non-negative integers`);
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
      return fail(`tensor ${shown} has the data_offsets ${JSON.stringify(offsets)}; two non-negative integers are expected`);
    const [begin, end] = offsets as [number, number];
    if (begin > end || end > dataBytes)
      fail(`tensor ${shown} lies at bytes ${begin} to ${end}, the file holds ${dataBytes} bytes of data; it is truncated or damaged`);
    const size = productOf(shape);
    if (size === undefined || size * codec.blockBytes !== end - begin)
      fail(
        `tensor ${shown} of shape [${shape.join(', ')}] and dtype ${codec.name} does not take the ${end - begin} bytes of its data_offsets`,
      );
    tensors.push({ name, codec, shape, begin, end });
  }
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const t of tensors) {
    if (t.begin !== end)
      fail(
        `tensor "${t.name}" starts at byte ${t.begin} of the data, the one before ends at ${end}; they must neither overlap nor leave a gap`,
      );
    end = t.end;
  }
  if (end !== dataBytes) fail(`its tensors take ${end} bytes, the file holds ${dataBytes} bytes of data`);
  return {
    metadata,
    tensors: new Map(tensors.map(({ name, codec, shape, begin }) => [name, { name, codec, shape, offset: dataStart + begin }])),
  };
}
