import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { openGguf } from '../../../src/models/checkpoint/gguf.js';
import { exportGguf } from '../../../src/models/checkpoint/ggufExport.js';
import { writeLlama2c } from '../../../src/models/checkpoint/llama2c.js';
import { openCheckpoint } from '../../../src/models/checkpoint/open.js';
import type { TensorSource } from '../../../src/models/checkpoint/tensorSource.js';
import { VitroError } from '../../../src/tensor/index.js';
import { temporaryFolder } from './temporaryFolder.js';
import { randomWeights, spmVocabulary, tinyConfig } from './tinyLlama.js';

const fixtures = fileURLToPath(new URL('../../../fixtures/checkpoint/', import.meta.url));
const folder = temporaryFolder();
const config = {
  ...tinyConfig,
  hidden_size: 16,
  intermediate_size: 8,
  num_hidden_layers: 1,
  vocab_size: 20,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  rope_theta: 10000,
};

const formats: Record<string, { bytes: Buffer; ending: string; open: (path: string) => Promise<TensorSource>; headerBytes: number }> = {};

beforeAll(async () => {
  const weights = randomWeights(config);
  const gguf = join(folder, 'seed.gguf');
  const bin = join(folder, 'seed.bin');
  await exportGguf(gguf, { tensors: weights, config, tokenizer: spmVocabulary() });
  await writeLlama2c(bin, { tensors: weights, config });
  const whole = async (path: string): Promise<TensorSource> => (await openCheckpoint(path)).source;
  const tiny = readFileSync(join(fixtures, 'tiny.safetensors'));
  formats.safetensors = { bytes: tiny, ending: '.safetensors', open: whole, headerBytes: 8 + Number(tiny.readBigUInt64LE(0)) };
  formats['GGUF blocks'] = { bytes: readFileSync(join(fixtures, 'tiny.gguf')), ending: '.gguf', open: openGguf, headerBytes: 1600 };
  formats['GGUF model'] = { bytes: readFileSync(gguf), ending: '.gguf', open: whole, headerBytes: 8000 };
  formats['llama2.c'] = { bytes: readFileSync(bin), ending: '.bin', open: whole, headerBytes: 28 };
});

let serial = 0;

/** Opens damaged bytes and reads everything: a correct read or a VitroError, and no memory beyond the file's own order of size. */
async function outcome(format: string, bytes: Uint8Array): Promise<'read' | 'refused'> {
  const { ending, open } = formats[format] as (typeof formats)[string];
  const path = join(folder, `case-${serial++ % 4}${ending}`);
  writeFileSync(path, bytes);
  let source: TensorSource | undefined;
  try {
    source = await open(path);
    for (const name of source.names) {
      const info = source.info(name);
      expect(info.byteLength).toBeLessThanOrEqual(bytes.length);
      const tensor = await source.read(name);
      expect(tensor.shape).toEqual(info.shape);
    }
    return 'read';
  } catch (error) {
    if (!(error instanceof VitroError)) throw error;
    expect(error.message.length).toBeGreaterThan(20);
    expect(error.message).toContain(path);
    return 'refused';
  } finally {
    await source?.close();
  }
}

const names = ['safetensors', 'GGUF blocks', 'GGUF model', 'llama2.c'];
const runs = { numRuns: 100 };

describe.each(names)('%s', (format) => {
  const seed = (): Buffer => (formats[format] as (typeof formats)[string]).bytes;
  const headerBytes = (): number => (formats[format] as (typeof formats)[string]).headerBytes;

  it('is read whole, and refused when truncated anywhere', async () => {
    expect(await outcome(format, seed())).toBe('read');
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (part) => {
        // the last bytes of a GGUF file are padding
        expect(await outcome(format, seed().subarray(0, Math.floor((seed().length - 32) * part)))).toBe('refused');
      }),
      runs,
    );
  });

  it('survives changed bytes in its header', async () => {
    const change = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      value: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0x22, 0x5c, 0x7b),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = Buffer.from(seed());
        for (const { at, value } of changes) bytes[Math.floor(at * headerBytes())] = value;
        await outcome(format, bytes);
      }),
      runs,
    );
  });

  it('survives lying 32- and 64-bit numbers', async () => {
    const lie = fc.constantFrom(0n, 1n, 0x7fffffffn, 0xffffffffn, 0x100000000n, 2n ** 53n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n);
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), lie, async (at, value) => {
        const bytes = Buffer.from(seed());
        const offset = Math.min(Math.floor(at * headerBytes()), bytes.length - 8);
        bytes.writeBigUInt64LE(value, offset);
        await outcome(format, bytes);
      }),
      runs,
    );
  });

  it('survives arbitrary bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (junk, keepStart) => {
        await outcome(format, keepStart ? Buffer.concat([seed().subarray(0, 24), junk]) : junk);
      }),
      runs,
    );
  });
});

it('survives changed values in the JSON of safetensors', async () => {
  const header = fc.dictionary(
    fc.constantFrom('a', 'b', '__metadata__', ''),
    fc.oneof(
      fc.record({
        dtype: fc.constantFrom('F32', 'U8', 'I64', 'Q', 3),
        shape: fc.oneof(fc.array(fc.oneof(fc.nat(8), fc.maxSafeInteger(), fc.double())), fc.anything()),
        data_offsets: fc.oneof(fc.tuple(fc.nat(16), fc.nat(16)), fc.anything()),
      }),
      fc.jsonValue(),
    ),
  );
  await fc.assert(
    fc.asyncProperty(header, fc.nat(32), async (value, data) => {
      const json = Buffer.from(JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)));
      const bytes = Buffer.alloc(8 + json.length + data);
      bytes.writeBigUInt64LE(BigInt(json.length));
      json.copy(bytes, 8);
      await outcome('safetensors', bytes);
    }),
    { numRuns: 300 },
  );
});

it('refuses claims of gigabytes without allocating them', async () => {
  const gguf = Buffer.alloc(64);
  gguf.write('GGUF');
  gguf.writeUInt32LE(3, 4);
  gguf.writeBigUInt64LE(0n, 8);
  gguf.writeBigUInt64LE(1n, 16);
  gguf.writeBigUInt64LE(1n, 24);
  gguf.write('k', 32);
  gguf.writeUInt32LE(9, 33);
  gguf.writeUInt32LE(8, 37);
  gguf.writeBigUInt64LE(2n ** 40n, 41);
  const before = process.memoryUsage();
  expect(await outcome('GGUF blocks', gguf)).toBe('refused');
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(64e6);
  expect(after.heapUsed - before.heapUsed).toBeLessThan(64e6);
});
