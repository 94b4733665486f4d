import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../../src/models/checkpoint/checkpointError.js';
import { openSafetensors, openShardedSafetensors } from '../../../src/models/checkpoint/safetensors.js';
import { writeSafetensors, writeSafetensorsFolder } from '../../../src/models/checkpoint/safetensorsWrite.js';
import { allocate, array, type DType, f32ToBf16, f32ToF16, NDArray } from '../../../src/tensor/index.js';
import { temporaryFolder } from './temporaryFolder.js';

const fixtures = fileURLToPath(new URL('../../../fixtures/checkpoint/', import.meta.url));
const folder = temporaryFolder();

interface Golden {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: readonly (number | string)[];
}
const golden = JSON.parse(readFileSync(join(fixtures, 'tiny.json'), 'utf8')) as Record<string, Golden>;
const dtypeOfTorch: Record<string, DType> = {
  float32: 'f32',
  float16: 'f16',
  bfloat16: 'bf16',
  int64: 'i64',
  int32: 'i32',
  uint8: 'u8',
  bool: 'bool',
};

const bits = (half: NDArray): number[] => Array.from(half.data as Uint16Array);

/** Random matrix whose transposition takes several pieces, some of them partial. */
function matrix(rows: number, cols: number, dtype: DType = 'f32'): NDArray {
  const out = allocate(dtype, [rows, cols]);
  let x = 12345;
  for (let i = 0; i < out.data.length; i++) {
    x = (Math.imul(1664525, x) + 1013904223) | 0;
    out.data[i] = dtype === 'f32' ? x / 2 ** 31 : (x >>> 16) & 0x3fff;
  }
  return out;
}

describe('reading safetensors', () => {
  it("reads every dtype of the Python package's files", async () => {
    const tiny = await openSafetensors(join(fixtures, 'tiny.safetensors'));
    const widened = await openSafetensors(join(fixtures, 'widened.safetensors'));
    expect([...tiny.names, ...widened.names].sort()).toEqual(Object.keys(golden).sort());
    expect(tiny.metadata).toEqual({ format: 'pt' });
    expect(widened.metadata).toEqual({});
    for (const [name, { dtype, shape, values }] of Object.entries(golden)) {
      const tensor = await (widened.names.includes(name) ? widened : tiny).read(name);
      expect(tensor.shape, name).toEqual(shape);
      const expected = dtype === 'float64' ? values.map((v) => Math.fround(Number(v))) : values.map(Number);
      expect(tensor.toNumbers(), name).toEqual(expected);
      const float = dtype.startsWith('float') || dtype === 'bfloat16';
      expect(tensor.dtype, name).toBe(float ? 'f32' : (dtypeOfTorch[dtype] ?? 'i32'));
    }
    const wide = await tiny.read('ids.i64');
    expect(Array.from(wide.data, String)).toEqual(golden['ids.i64']?.values);
    expect(tiny.info('matrix.bf16')).toEqual({ dtype: 'BF16', shape: [4, 3], byteLength: 24 });
    await tiny.close();
    await widened.close();
  });

  it('converts to half precisions as the engine rounds, and keeps stored ones bit by bit', async () => {
    const source = await openSafetensors(join(fixtures, 'tiny.safetensors'));
    for (const name of ['matrix.f32', 'special.f32']) {
      const values = Float32Array.from(golden[name]?.values ?? [], Number);
      expect(bits(await source.read(name, { dtype: 'f16' }))).toEqual(Array.from(values, (v) => f32ToF16(v)));
      expect(bits(await source.read(name, { dtype: 'bf16' }))).toEqual(Array.from(values, (v) => f32ToBf16(v)));
    }
    const kept = await source.read('special.bf16', { dtype: 'bf16' });
    expect(kept.dtype).toBe('bf16');
    expect(kept.toNumbers()).toEqual(golden['special.bf16']?.values);
    await source.close();
  });

  it.each([
    ['f32', 1300, 700],
    ['f32', 3, 600_000],
    ['f32', 600_000, 3],
    ['bf16', 1000, 999],
    ['u8', 800, 1300],
  ] as const)('transposes %s [%d, %d] while reading', async (dtype, rows, cols) => {
    const path = join(folder, 'transposed.safetensors');
    const x = matrix(rows, cols, dtype);
    await writeSafetensors(path, [['x', x]]);
    const source = await openSafetensors(path);
    const y = await source.read('x', { transpose: true, dtype: dtype === 'bf16' ? 'bf16' : 'f32' });
    expect(y.shape).toEqual([cols, rows]);
    let wrong = 0;
    for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) if (y.data[c * rows + r] !== x.data[r * cols + c]) wrong++;
    expect(wrong).toBe(0);
    await source.close();
  });

  it('names what is near a tensor that is missing, and refuses to transpose what is no matrix', async () => {
    const source = await openSafetensors(join(fixtures, 'tiny.safetensors'));
    await expect(source.read('matrix.f23')).rejects.toThrow('did you mean "matrix.f32"');
    await expect(source.read('scalar', { transpose: true })).rejects.toThrow('only a matrix');
    await source.close();
  });
});

describe('writing safetensors', () => {
  it("writes the Python package's bytes, whatever the order of the tensors", async () => {
    const original = join(fixtures, 'tiny.safetensors');
    const source = await openSafetensors(original);
    const tensors = await Promise.all(
      source.names.map(async (n) => {
        const stored = source.info(n).dtype;
        return [n, await source.read(n, { dtype: stored === 'F16' ? 'f16' : stored === 'BF16' ? 'bf16' : 'f32' })] as const;
      }),
    );
    const path = join(folder, 'again.safetensors');
    for (const given of [tensors, [...tensors].reverse(), source]) {
      await writeSafetensors(path, given);
      expect(readFileSync(path).equals(readFileSync(original))).toBe(true);
    }
    await source.close();
  });

  it.each(['f32', 'f16', 'bf16'] as const)('reads back what it wrote as %s, transposed', async (dtype) => {
    const path = join(folder, 'round.safetensors');
    const x = matrix(700, 900);
    const ids = array([[1, 2, 3]], { dtype: 'i64' });
    await writeSafetensors(
      path,
      [
        ['x', x],
        ['ids', ids],
      ],
      { dtype, transpose: (n) => n === 'x', metadata: { b: '2', a: '1' } },
    );
    const source = await openSafetensors(path);
    expect(source.metadata).toEqual({ a: '1', b: '2' });
    expect(source.info('x').shape).toEqual([900, 700]);
    expect((await source.read('ids')).toNumbers()).toEqual([1, 2, 3]);
    const back = await source.read('x', { dtype, transpose: true });
    const encode = { f32: (v: number) => v, f16: f32ToF16, bf16: f32ToBf16 }[dtype];
    const values = x.data as Float32Array;
    const expected = dtype === 'f32' ? values : Uint16Array.from(values, encode);
    expect(Buffer.from(back.data.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
    await source.close();
  });

  it('refuses two tensors of one name and names that are unusable', async () => {
    const path = join(folder, 'names.safetensors');
    const x = array([1]);
    await expect(
      writeSafetensors(path, [
        ['x', x],
        ['x', x],
      ]),
    ).rejects.toThrow('two tensors are named "x"');
    await expect(writeSafetensors(path, [['__proto__', x]])).rejects.toThrow('no usable tensor name');
    await expect(writeSafetensors(path, [['a\nb', x]])).rejects.toThrow('no usable tensor name');
  });

  it('leaves the old file when the disk is full, and nothing beside it', async () => {
    const here = join(folder, 'full');
    await mkdir(here);
    const path = join(here, 'x.safetensors');
    await writeSafetensors(path, [['x', array([1, 2])]]);
    const before = readFileSync(path);
    let left = 3_000_000;
    const openFile = async (p: string) => {
      const handle = await open(p, 'wx');
      return {
        write: async (data: Uint8Array, offset: number, length: number, position: number) => {
          left -= length;
          if (left < 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
          return handle.write(data, offset, length, position);
        },
        sync: () => handle.sync(),
        close: () => handle.close(),
      };
    };
    const failed = writeSafetensors(path, [['x', matrix(1000, 1000)]], { openFile });
    await expect(failed).rejects.toThrow(CheckpointError);
    await expect(failed).rejects.toThrow('the disk is full');
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(here)).toEqual(['x.safetensors']);
  });

  it.skipIf(process.platform !== 'linux')('reports the full disk of the system', async () => {
    const openFile = () => open('/dev/full', 'w');
    await expect(writeSafetensors(join(folder, 'dev.safetensors'), [['x', array([1])]], { openFile })).rejects.toThrow(/disk is full/);
  });
});

describe('sharded checkpoints', () => {
  const tensors = Array.from({ length: 7 }, (_, i) => [`t.${i}`, matrix(10 + i, 10)] as const);

  it('divides by size, and reads all shards as one', async () => {
    const here = join(folder, 'sharded');
    await mkdir(here);
    await writeSafetensorsFolder(here, [['old', array([1])]]);
    expect(readdirSync(here)).toEqual(['model.safetensors']);
    const names = await writeSafetensorsFolder(here, tensors, { max_shard_bytes: 1000 });
    expect(names).toEqual([
      'model-00001-of-00005.safetensors',
      'model-00002-of-00005.safetensors',
      'model-00003-of-00005.safetensors',
      'model-00004-of-00005.safetensors',
      'model-00005-of-00005.safetensors',
      'model.safetensors.index.json',
    ]);
    expect(readdirSync(here).sort()).toEqual([...names].sort());
    const source = await openShardedSafetensors(join(here, 'model.safetensors.index.json'));
    expect(source.metadata).toEqual({ total_size: tensors.reduce((sum, [, t]) => sum + t.size * 4, 0) });
    for (const [name, tensor] of tensors) expect((await source.read(name)).toNumbers()).toEqual(tensor.toNumbers());
    await source.close();
  });

  const index = (map: unknown): string => {
    const path = join(folder, 'bad.safetensors.index.json');
    writeFileSync(path, typeof map === 'string' ? map : JSON.stringify({ weight_map: map }));
    return path;
  };

  it.each([
    [{ x: '../tiny.safetensors' }, 'in the same folder'],
    [{ x: '/etc/x.safetensors' }, 'in the same folder'],
    [{ x: 'C:\\x.safetensors' }, 'in the same folder'],
    [{ x: 'pickle.bin' }, 'in the same folder'],
    [{ x: 7 }, 'in the same folder'],
    [{ x: 'missing.safetensors' }, 'names the shard missing.safetensors, which is missing'],
    [{ x: 'tiny.safetensors' }, 'does not hold it'],
    ['{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', 'twice'],
    ['[1, 2', 'no valid JSON'],
    ['{"weight_map": []}', 'no weight_map'],
  ])('refuses the index %j', async (map, message) => {
    copyFileSync(join(fixtures, 'tiny.safetensors'), join(folder, 'tiny.safetensors'));
    await expect(openShardedSafetensors(index(map))).rejects.toThrow(message);
  });
});

describe('bad headers', () => {
  const file = (header: string | Uint8Array, data = 8, length?: number): string => {
    const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
    const bytes = new Uint8Array(8 + json.length + data);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? json.length), true);
    bytes.set(json, 8);
    const path = join(folder, 'lying.safetensors');
    writeFileSync(path, bytes);
    return path;
  };
  const tensor = (dtype: unknown, shape: unknown, offsets: unknown): string =>
    JSON.stringify({ x: { dtype, shape, data_offsets: offsets } });

  it.each([
    ['a header past the end', '{}', 0, 1000, 'claims 1000 bytes'],
    ['a huge header', '{}', 0, 2 ** 52, 'at most 100000000'],
    ['no JSON', '{"x"', 0, undefined, 'no JSON'],
    ['no UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 0, undefined, 'no JSON in UTF-8'],
    ['a list', '[]', 0, undefined, 'no JSON object'],
    ['nesting', '['.repeat(100_000), 0, undefined, 'nested deeper'],
    [
      'a name twice',
      '{"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}',
      8,
      undefined,
      'twice',
    ],
    [
      'an escaped name twice',
      '{"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"\\u0078":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}',
      8,
      undefined,
      'twice',
    ],
    ['an unknown dtype', tensor('Q4', [8], [0, 8]), 8, undefined, 'unknown dtype "Q4"'],
    ['a key of Object.prototype as dtype', tensor('constructor', [8], [0, 8]), 8, undefined, 'unknown dtype'],
    ['a negative size', tensor('U8', [-8, -1], [0, 8]), 8, undefined, 'non-negative'],
    ['a fraction', tensor('U8', [0.5, 16], [0, 8]), 8, undefined, 'non-negative'],
    ['sizes that overflow', tensor('U8', [2 ** 40, 2 ** 40], [0, 8]), 8, undefined, 'does not take the 8 bytes'],
    ['a wrong length', tensor('F32', [3], [0, 8]), 8, undefined, 'does not take the 8 bytes'],
    ['an end before the start', tensor('U8', [0], [8, 0]), 8, undefined, 'truncated or damaged'],
    ['data past the end', tensor('F32', [4], [0, 16]), 8, undefined, 'truncated or damaged'],
    ['a gap', tensor('F32', [1], [4, 8]), 8, undefined, 'neither overlap nor leave a gap'],
    ['bytes behind the last tensor', tensor('F32', [1], [0, 4]), 8, undefined, 'holds 8 bytes of data'],
    [
      'an overlap',
      JSON.stringify({ x: { dtype: 'U8', shape: [8], data_offsets: [0, 8] }, y: { dtype: 'U8', shape: [4], data_offsets: [4, 8] } }),
      8,
      undefined,
      'neither overlap',
    ],
    ['a reserved name', '{"__proto__":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}', 8, undefined, 'reserved'],
    ['metadata that is no record of strings', '{"__metadata__":{"a":1}}', 0, undefined, 'strings to strings'],
  ] as const)('refuses %s', async (_, header, data, length, message) => {
    const failed = openSafetensors(file(header, data, length));
    await expect(failed).rejects.toThrow(CheckpointError);
    await expect(failed).rejects.toThrow(message);
  });

  it('says what a path is that is no file', async () => {
    await expect(openSafetensors(folder)).rejects.toThrow('a folder');
    await expect(openSafetensors(join(folder, 'nowhere'))).rejects.toThrow('no such file');
  });
});

it('keeps infinities, NaN payloads and signed zeros through every path', async () => {
  const path = join(folder, 'nan.safetensors');
  const bits = Uint32Array.of(0x7fc12345, 0xff812345, 0x80000000, 0x7f800000);
  await writeSafetensors(path, [['x', new NDArray('f32', [2, 2], new Float32Array(bits.buffer))]]);
  const source = await openSafetensors(path);
  const words = async (transpose: boolean): Promise<number[]> =>
    Array.from(new Uint32Array((await source.read('x', { transpose })).data.buffer));
  expect(await words(false)).toEqual(Array.from(bits));
  expect(await words(true)).toEqual([0x7fc12345, 0x80000000, 0xff812345, 0x7f800000]);
  await source.close();
});
