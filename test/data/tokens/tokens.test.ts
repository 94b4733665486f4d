import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { datasetFromRows } from '../../../src/data/dataset/memory.js';
import { type EncodeProgress, encodeTokens, tokensKey } from '../../../src/data/tokens/encode.js';
import { cacheTokens } from '../../../src/data/tokens/tokenCache.js';
import { createFile, type FileWriter } from '../../../src/data/tokens/tokenFiles.js';
import { memoryTokens, type TokenStore } from '../../../src/data/tokens/tokenStore.js';
import { temporaryFolder } from '../support/folder.js';
import { byteTokenizer } from '../support/tokenizer.js';

const folder = temporaryFolder();
let used = 0;
const freshCache = (): string => join(folder.path, `cache-${used++}`);

const documentsOf = (store: TokenStore): number[][] =>
  Array.from({ length: store.num_documents }, (_, d) => {
    const start = store.documentStart(d);
    const out = new Int32Array(store.documentStart(d + 1) - start);
    store.read(start, out.length, out);
    return Array.from(out);
  });

const texts = ['Tokens', '', 'ünïcode ✓', 'x'.repeat(5000)];
const dataset = datasetFromRows(texts.map((text) => ({ text })));
const expected = texts.map((t) => [...new TextEncoder().encode(t), 256]);

describe('cached tokens', () => {
  it('hold every document with its end, its ids and its bytes, in memory and on disk alike', async () => {
    for (const store of [
      await encodeTokens(dataset, byteTokenizer()),
      await cacheTokens(dataset, byteTokenizer(), { cache_dir: freshCache() }),
    ]) {
      expect(documentsOf(store)).toEqual(expected);
      expect(store.num_tokens).toBe(expected.flat().length);
      expect(store.num_bytes).toBe(Buffer.byteLength(texts.join('')));
      expect(texts.map((_, d) => store.documentBytes(d))).toEqual(texts.map((t) => Buffer.byteLength(t)));
      expect(store.fingerprint).toBe(tokensKey(dataset, byteTokenizer()));
      const part = new Int32Array(8).fill(-5);
      store.read(2, 4, part, 3);
      expect(Array.from(part)).toEqual([-5, -5, -5, ...expected.flat().slice(2, 6), -5]);
      store.close();
    }
  });

  it('keeps 32-bit ids', async () => {
    const wide = byteTokenizer({
      vocab_size: 200_000,
      eos_token_id: 199_999,
      encode: (text) => Int32Array.from(text, (c) => 65_536 + (c.codePointAt(0) ?? 0)),
    });
    const store = await cacheTokens(dataset, wide, { cache_dir: freshCache() });
    expect(documentsOf(store)[0]).toEqual([...Array.from('Tokens', (c) => 65_536 + c.charCodeAt(0)), 199_999]);
  });

  it('reads any window as the array would (property)', async () => {
    const store = await cacheTokens(dataset, byteTokenizer(), { cache_dir: freshCache() });
    const all = Int32Array.from(expected.flat());
    fc.assert(
      fc.property(fc.nat(all.length), fc.nat(all.length), (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a];
        const out = new Int32Array(end - start);
        store.read(start, end - start, out);
        expect(out).toEqual(all.slice(start, end));
      }),
    );
    const out = new Int32Array(4);
    expect(() => store.read(all.length - 3, 4, out)).toThrow(/lie outside/);
    expect(() => store.read(0, 5, out)).toThrow(/do not fit/);
    expect(() => store.documentBytes(4)).toThrow(/no document 4/);
    store.close();
    expect(() => store.read(0, 4, out)).toThrow(/after close/);
  });

  it('tokenises once, and again when text, tokenizer or options change', async () => {
    const cache_dir = freshCache();
    let encoded = 0;
    const counting = (overrides = {}) =>
      byteTokenizer({
        encode(text) {
          encoded++;
          return Int32Array.from(new TextEncoder().encode(text));
        },
        ...overrides,
      });
    const built = async (...args: Parameters<typeof cacheTokens>): Promise<number> => {
      encoded = 0;
      (await cacheTokens(...args)).close();
      return encoded;
    };
    expect(await built(dataset, counting(), { cache_dir })).toBe(4);
    expect(await built(dataset, counting(), { cache_dir })).toBe(0);
    expect(await built(datasetFromRows([{ text: 'other' }]), counting(), { cache_dir })).toBe(1);
    expect(await built(dataset, counting({ fingerprint: 'changed' }), { cache_dir })).toBe(4);
    expect(await built(dataset, counting(), { cache_dir, append_eos: false })).toBe(4);
    expect(await built(dataset, counting(), { cache_dir, add_special_tokens: true })).toBe(4);
  });

  it('reports progress and stops when asked', async () => {
    const seen: EncodeProgress[] = [];
    const big = datasetFromRows(Array.from({ length: 30 }, (_, i) => ({ text: String(i % 10).repeat(100_000) })));
    await encodeTokens(big, byteTokenizer(), { onProgress: (p) => seen.push(p) });
    expect(seen.length).toBe(3);
    expect(seen.at(-1)).toEqual({ documents: 30, tokens: 3_000_030, bytes: 3_000_000, total_documents: 30 });
    const cache_dir = freshCache();
    const stop = new AbortController();
    const stopped = cacheTokens(big, byteTokenizer(), { cache_dir, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(stopped).rejects.toThrow(/abort/i);
    expect(readdirSync(cache_dir)).toEqual([]);
  });
});

describe('failures while caching', () => {
  it('leaves nothing half-written when the disk is full', async () => {
    const cache_dir = freshCache();
    let open = 0;
    const full =
      (limit: number) =>
      async (path: string): Promise<FileWriter> => {
        const file = await createFile(path);
        let written = 0;
        open++;
        return {
          ...file,
          async abandon() {
            open--;
            await file.abandon();
          },
          async write(bytes) {
            written += bytes.length;
            if (written > limit) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
            await file.write(bytes);
          },
        };
      };
    for (const limit of [0, 100, 5000])
      await expect(cacheTokens(dataset, byteTokenizer(), { cache_dir, createFile: full(limit) })).rejects.toThrow(
        /the disk is full.*VITRO_CACHE/,
      );
    expect(open).toBe(0);
    expect(readdirSync(cache_dir)).toEqual([]);
    expect(documentsOf(await cacheTokens(dataset, byteTokenizer(), { cache_dir }))).toEqual(expected);
  });

  it('rebuilds damaged files', async () => {
    const cache_dir = freshCache();
    const key = tokensKey(dataset, byteTokenizer());
    const file = (name: string): string => join(cache_dir, key, name);
    const damages: (() => void)[] = [
      () => truncateSync(file('tokens.bin'), 100),
      () => truncateSync(file('header.json'), 20),
      () => writeFileSync(file('header.json'), readFileSync(file('header.json'), 'utf8').replace(key, 'another')),
      () => {
        const index = readFileSync(file('documents.bin'));
        index[3] = 1;
        writeFileSync(file('documents.bin'), index);
      },
    ];
    for (const damage of damages) {
      (await cacheTokens(dataset, byteTokenizer(), { cache_dir })).close();
      damage();
      const store = await cacheTokens(dataset, byteTokenizer(), { cache_dir });
      expect(documentsOf(store)).toEqual(expected);
      store.close();
      expect(readdirSync(cache_dir)).toEqual([key]);
    }
  });

  it('removes what a builder of the same key left a day ago, and keeps younger work', async () => {
    const cache_dir = freshCache();
    const key = tokensKey(dataset, byteTokenizer());
    await mkdir(join(cache_dir, `${key}.old`), { recursive: true });
    await mkdir(join(cache_dir, `${key}.new`), { recursive: true });
    utimesSync(join(cache_dir, `${key}.old`), new Date(0), new Date(0));
    (await cacheTokens(dataset, byteTokenizer(), { cache_dir })).close();
    expect(readdirSync(cache_dir).sort()).toEqual([key, `${key}.new`]);
  });

  it('lets builders of one key run at once, in this process', async () => {
    const cache_dir = freshCache();
    const stores = await Promise.all(Array.from({ length: 5 }, () => cacheTokens(dataset, byteTokenizer(), { cache_dir })));
    for (const store of stores) expect(documentsOf(store)).toEqual(expected);
    expect(readdirSync(cache_dir)).toEqual([tokensKey(dataset, byteTokenizer())]);
  });

  it('lets two processes build one key at once', async () => {
    const cache_dir = freshCache();
    const pathOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
    const go = join(folder.path, 'go');
    const ready = [0, 1].map((i) => join(folder.path, `ready-${i}`));
    const built = ready.map((file) => {
      const args = [pathOf('../../support/runScript.mjs'), pathOf('./build.ts'), 'buildOnSignal', JSON.stringify([cache_dir, file, go])];
      return promisify(execFile)(process.execPath, args);
    });
    await Promise.race([Promise.all(built), vi.waitFor(() => expect(ready.every((file) => existsSync(file))).toBe(true), 60_000)]);
    writeFileSync(go, '');
    expect((await Promise.all(built)).map((r) => r.stdout)).toEqual(['20020', '20020']);
    expect(readdirSync(cache_dir).length).toBe(1);
  });

  it('names rows without text, ids outside of the vocabulary, and a tokenizer without eos', async () => {
    const encode = (rows: Record<string, unknown>[], overrides = {}, options = {}) =>
      encodeTokens(datasetFromRows(rows), byteTokenizer(overrides), options);
    await expect(encode([{ text: 'a' }, { text: 7 }])).rejects.toThrow(/row 1: column "text" holds a number, not a string/);
    await expect(encode([{ text: null }])).rejects.toThrow(/holds null/);
    await expect(encode([{ text: [{ role: 'user' }] }])).rejects.toThrow(/holds a list/);
    await expect(encode([{ txt: 'a' }])).rejects.toThrow(/no column "text"; did you mean "txt"/);
    await expect(encode([{ text: '\u00e9' }], { vocab_size: 150, eos_token_id: 1 })).rejects.toThrow(
      /id 195, outside of its vocabulary of 150/,
    );
    await expect(encode([{ text: 'a' }], { eos_token_id: null }, { append_eos: true })).rejects.toThrow(/no eos token/);
    await expect(encode([{ text: '' }], { eos_token_id: null })).rejects.toThrow(/gives no tokens/);
    const cache_dir = freshCache();
    await expect(cacheTokens(datasetFromRows([{ text: 1 }]), byteTokenizer(), { cache_dir })).rejects.toThrow(/not a string/);
    expect(existsSync(cache_dir) ? readdirSync(cache_dir) : []).toEqual([]);
  });
});

describe('tokens in memory', () => {
  it('take bytes without a copy as one document', () => {
    const bytes = Uint8Array.of(5, 6, 7);
    const store = memoryTokens(bytes);
    expect([store.num_documents, store.num_tokens, store.num_bytes, store.vocab_size]).toEqual([1, 3, 3, 256]);
    bytes[1] = 9;
    expect(documentsOf(store)).toEqual([[5, 9, 7]]);
    expect(memoryTokens(Uint8Array.of(5, 6, 7)).fingerprint).not.toBe(memoryTokens(Uint8Array.of(5, 6, 8)).fingerprint);
    expect(() => memoryTokens(bytes, { ends: Float64Array.of(2, 2) })).toThrow(/end at token 2/);
  });
});
