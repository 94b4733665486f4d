import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gguf } from '@huggingface/gguf';
import { describe, expect, it } from 'vitest';
import { type GgufSource, openGguf } from '../../../src/models/checkpoint/gguf.js';
import { quantizeBlocksAs } from '../../../src/models/checkpoint/ggufQuants.js';
import type { GgufField } from '../../../src/models/checkpoint/ggufTypes.js';
import { writeGguf } from '../../../src/models/checkpoint/ggufWrite.js';
import { allocate, array, type NDArray } from '../../../src/tensor/index.js';
import { temporaryFolder } from './temporaryFolder.js';

const fixtures = fileURLToPath(new URL('../../../fixtures/checkpoint/', import.meta.url));
const folder = temporaryFolder();
const open = (): Promise<GgufSource> => openGguf(join(fixtures, 'tiny.gguf'));

/** The stored bytes of a tensor. */
async function raw(source: GgufSource, name: string): Promise<Buffer> {
  const offset = source.tensors.get(name)?.offset ?? Number.NaN;
  return Buffer.from(await source.file.bytes(offset, source.info(name).byteLength));
}

describe('reading GGUF', () => {
  it('reads metadata of every type', async () => {
    const source = await open();
    const { metadata } = source;
    expect(metadata).toMatchObject({
      'general.architecture': 'llama',
      't.u8': 200,
      't.i8': -100,
      't.u16': 60000,
      't.i16': -30000,
      't.u32': 4000000000,
      't.i32': -2000000000,
      't.f32': Math.fround(0.1),
      't.u64': 2n ** 63n,
      't.i64': -5,
      't.f64': 0.1,
      't.bool': true,
      't.string': 'naïve ☃',
      't.strings': ['', 'a', '▁b'],
      't.floats': Float32Array.of(0.5, -1.25),
      't.ints': Int32Array.of(1, -2, 3),
      't.bools': [true, false],
    });
    await source.close();
  });

  it("decodes every element type to the bits of the Python package's decoder", async () => {
    const source = await open();
    const expected = readFileSync(join(fixtures, 'tiny.gguf.f32'));
    let at = 0;
    for (const name of source.names) {
      const { data } = await source.read(name);
      const want = new Float32Array(expected.buffer.slice(expected.byteOffset + at, expected.byteOffset + at + data.byteLength));
      expect(Array.from(data as Float32Array), name).toEqual(Array.from(want));
      at += data.byteLength;
    }
    expect(at).toBe(expected.length);
    expect(source.names.length).toBe(14);
    expect(source.info('f32')).toEqual({ dtype: 'F32', shape: [3, 2, 5], byteLength: 120 });
    expect(source.info('q4_k')).toEqual({ dtype: 'Q4_K', shape: [1, 256], byteLength: 144 });
    await source.close();
  });

  it('reads a quantized matrix transposed and as half precision', async () => {
    const source = await open();
    const plain = await source.read('input.q4_0');
    const turned = await source.read('input.q4_0', { transpose: true });
    expect(turned.shape).toEqual([64, 8]);
    for (let r = 0; r < 8; r++) for (let c = 0; c < 64; c++) expect(turned.data[c * 8 + r]).toBe(plain.data[r * 64 + c]);
    const halves = await source.read('f16', { dtype: 'f16' });
    expect(halves.toNumbers()).toEqual((await source.read('f16')).toNumbers());
    await source.close();
  });
});

describe('writing GGUF', () => {
  it.each(['Q8_0', 'Q4_0'] as const)("quantizes to %s with the Python package's bytes", async (dtype) => {
    const source = await open();
    const path = join(folder, 'quantized.gguf');
    await writeGguf(path, { metadata: {}, tensors: [['input', await source.read('input')]], dtype });
    const written = await openGguf(path);
    expect((await raw(written, 'input')).equals(await raw(source, `input.${dtype.toLowerCase()}`))).toBe(true);
    await written.close();
    await source.close();
  });

  it.each(['Q8_0', 'Q4_0', 'F16', 'BF16', 'F32'] as const)('writes %s by pieces as all at once, transposed alike', async (dtype) => {
    // several pieces, the last one partial
    const [rows, cols] = [1184, 992];
    const x = allocate('f32', [rows, cols]);
    const turned = allocate('f32', [cols, rows]);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < cols; c++) {
        const v = Math.fround(Math.sin(r * 1000 + c));
        x.data[r * cols + c] = v;
        turned.data[c * rows + r] = v;
      }
    const path = join(folder, 'pieces.gguf');
    await writeGguf(path, {
      metadata: {},
      tensors: [
        ['x', x],
        ['turned', turned],
      ],
      dtype,
      transpose: (n) => n === 'turned',
    });
    const source = await openGguf(path);
    expect(source.info('turned')).toEqual(source.info('x'));
    const bytes = await raw(source, 'x');
    expect(bytes.equals(await raw(source, 'turned'))).toBe(true);
    if (dtype === 'Q8_0' || dtype === 'Q4_0') expect(bytes.equals(quantizeBlocksAs(dtype, x.data as Float32Array, x.size))).toBe(true);
    const back = (await source.read('x')).data as Float32Array;
    const bound = { Q8_0: 0.5 / 127 + 1e-3, Q4_0: 1 / 8 + 1e-3, F16: 2 ** -11, BF16: 2 ** -8, F32: 0 }[dtype];
    let worst = 0;
    for (let i = 0; i < back.length; i++) worst = Math.max(worst, Math.abs((back[i] as number) - (x.data[i] as number)));
    expect(worst).toBeLessThanOrEqual(bound);
    await source.close();
  });

  it('writes again what it read, byte by byte where the types allow', async () => {
    const source = await open();
    const path = join(folder, 'again.gguf');
    await writeGguf(path, { metadata: source.fields, tensors: [['f32', await source.read('f32')]], dtype: 'F32' });
    const again = await openGguf(path);
    expect(again.fields).toEqual(source.fields);
    expect((await again.read('f32')).toNumbers()).toEqual((await source.read('f32')).toNumbers());
    await again.close();
    await source.close();
  });

  it('writes what another reader reads, with another alignment and nested arrays', async () => {
    const path = join(folder, 'foreign.gguf');
    const metadata: Record<string, GgufField> = {
      'general.architecture': { type: 'string', value: 'llama' },
      'general.alignment': { type: 'u32', value: 64 },
      tokens: { type: 'array', of: 'string', value: ['<s>', 'é'] },
      scores: { type: 'array', of: 'f32', value: [0, -1.5] },
      nested: {
        type: 'array',
        of: 'array',
        value: [
          { type: 'array', of: 'u8', value: [1, 2] },
          { type: 'array', of: 'u8', value: [] },
        ],
      },
      big: { type: 'u64', value: 2n ** 60n },
    };
    const tensors: [string, NDArray][] = [
      [
        'a.weight',
        array([
          [1, 2, 3],
          [4, 5, 6],
        ]),
      ],
      ['b.bias', array([7, 8])],
      ['c', array([1, 2, 3], { dtype: 'i32' })],
    ];
    await writeGguf(path, { metadata, tensors, dtype: 'Q4_0' });
    const { metadata: seen, tensorInfos } = await gguf(path, { allowLocalFile: true });
    expect(seen).toMatchObject({ tokens: ['<s>', 'é'], scores: [0, -1.5], nested: [[1, 2], []], big: 2n ** 60n });
    // rows of 3 cannot be quantized: F16 (1); vectors are F32 (0); integers I32 (26)
    expect(tensorInfos.map((t) => [t.name, t.shape.map(Number), t.dtype, Number(t.offset)])).toEqual([
      ['a.weight', [3, 2], 1, 0],
      ['b.bias', [2], 0, 64],
      ['c', [3], 26, 128],
    ]);
    const source = await openGguf(path);
    expect(source.fields).toMatchObject({ nested: { type: 'array', of: 'array' }, big: { type: 'u64', value: 2n ** 60n } });
    for (const [name, tensor] of tensors) expect((await source.read(name)).toNumbers()).toEqual(tensor.toNumbers());
    await source.close();
  });

  it.each([
    [{ metadata: { x: { type: 'u8', value: 256 } as GgufField } }, '256 does not fit u8'],
    [{ metadata: { x: { type: 'u32', value: 1.5 } as GgufField } }, '1.5 does not fit u32'],
    [{ metadata: { 'general.alignment': { type: 'u32', value: 24 } as GgufField } }, 'power of two'],
    [{ tensors: [['x', array([[Number.NaN, ...new Array<number>(31).fill(0)]])]] as [string, NDArray][] }, 'must be finite'],
    [{ tensors: [['x'.repeat(64), array([1])]] as [string, NDArray][] }, '63 characters'],
    [{ tensors: [['x', array([1], { dtype: 'u8' })]] as [string, NDArray][] }, 'floating-point tensors and i32'],
  ])('refuses %j', async (options, message) => {
    await expect(writeGguf(join(folder, 'refused.gguf'), { metadata: {}, tensors: [], dtype: 'Q8_0', ...options })).rejects.toThrow(
      message,
    );
  });
});
