import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type OpenDatasetOptions, openDataset } from '../../../src/data/dataset/open.js';
import { withDuckDB } from '../../../src/data/dataset/parquet.js';
import { temporaryFolder } from '../support/folder.js';

const folder = temporaryFolder();
const SHA = '0123456789abcdef0123456789abcdef01234567';

/** A hub with one dataset of two configurations, as the real one answers; `calls` lists what was asked. */
async function fakeHub(change: (path: string, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes) {
  const files = new Map<string, Uint8Array>();
  for (const [path, text] of [
    ['small/train/0000.parquet', 'first'],
    ['small/train/0001.parquet', 'second'],
    ['small/test/0000.parquet', 'held out'],
    ['large/train/0000.parquet', 'big'],
  ] as const) {
    const local = join(folder.path, path.replaceAll('/', '-'));
    await withDuckDB((c) => c.run(`copy (select '${text}' as text) to '${local}' (format parquet)`));
    files.set(path, readFileSync(local));
  }
  const calls: string[] = [];
  const headers: (string | null)[] = [];
  const json = (value: unknown): Response => new Response(JSON.stringify(value), { headers: { 'content-type': 'application/json' } });
  const fetch = (async (input: string | URL | Request, init?: RequestInit) => {
    const url = new URL(String(input));
    calls.push(`${url.host}${url.pathname}`);
    headers.push(new Headers(init?.headers).get('authorization'));
    if (url.pathname.startsWith('/api/datasets/me/secret/')) return new Response('{}', { status: 401 });
    if (!url.pathname.includes('/me/tales/')) return new Response('{"error":"not found"}', { status: 404 });
    if (url.pathname.endsWith('/revision/refs%2Fconvert%2Fparquet')) return json({ id: 'me/tales', _id: '1', sha: SHA });
    if (url.pathname === `/api/datasets/me/tales/tree/${SHA}`)
      return json(
        [...files].map(([path, bytes]) => ({
          type: 'file',
          path,
          size: bytes.length,
          oid: 'x',
          lfs: { oid: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 1 },
        })),
      );
    const path = url.pathname.split(`/resolve/${SHA}/`)[1] ?? '';
    const original = files.get(path);
    if (!original) return new Response('', { status: 404 });
    const bytes = change(path, original);
    const range = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get('range') ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(range ? Number(range[2]) + 1 : bytes.length, bytes.length);
    return new Response(Uint8Array.from(bytes.subarray(from, to)), {
      status: range ? 206 : 200,
      headers: { etag: '"e"', 'content-range': `bytes ${from}-${to - 1}/${original.length}`, 'content-length': String(to - from) },
    });
  }) as typeof globalThis.fetch;
  return { fetch, calls, headers };
}

async function texts(options: Omit<OpenDatasetOptions, 'cache_dir'> & { cache: string }): Promise<unknown[]> {
  const { cache, ...rest } = options;
  const dataset = await openDataset({ env: {}, ...rest, cache_dir: join(folder.path, cache) });
  const out: unknown[] = [];
  for await (const row of dataset.rows()) out.push(row.text);
  return out;
}

describe('datasets of the hub', () => {
  it('reads the converted parquet files of a configuration and split, and downloads them once', async () => {
    const hub = await fakeHub();
    const small = { path: 'me/tales', name: 'small', fetch: hub.fetch, cache: 'c1' };
    expect(await texts(small)).toEqual(['first', 'second']);
    expect(await texts({ ...small, split: 'test' })).toEqual(['held out']);
    expect(await texts({ ...small, path: 'hf://datasets/me/tales', name: 'large' })).toEqual(['big']);
    const downloads = (): number => hub.calls.filter((c) => c.includes('/resolve/')).length;
    const before = downloads();
    expect(await texts(small)).toEqual(['first', 'second']);
    expect(downloads()).toBe(before);
  });

  it('works offline on what was downloaded, and says what is missing', async () => {
    const hub = await fakeHub();
    const down = (() => Promise.reject(new Error('getaddrinfo ENOTFOUND'))) as typeof fetch;
    const env = { HF_HUB_OFFLINE: '1' };
    const offline = { path: 'me/tales', name: 'small', fetch: down, env, cache: 'c2' };
    await expect(texts(offline)).rejects.toThrow(/HF_HUB_OFFLINE forbids to ask the hub/);
    await expect(texts({ ...offline, env: {} })).rejects.toThrow(/hub cannot be reached \(.*ENOTFOUND/);
    await texts({ ...offline, fetch: hub.fetch, env: {} });
    expect(await texts(offline)).toEqual(['first', 'second']);
    await expect(texts({ ...offline, split: 'test' })).rejects.toThrow(/small\/test\/0000\.parquet is not in the cache/);
  });

  it('reads a pinned revision without asking again', async () => {
    const hub = await fakeHub();
    const pinned = { path: 'me/tales', name: 'small', fetch: hub.fetch, cache: 'c3', revision: SHA };
    await texts(pinned);
    const asked = hub.calls.length;
    expect(await texts(pinned)).toEqual(['first', 'second']);
    expect(hub.calls.length).toBe(asked);
  });

  it('names configurations and splits', async () => {
    const { fetch } = await fakeHub();
    await expect(texts({ path: 'me/tales', fetch, cache: 'c4' })).rejects.toThrow(/several configurations; name one of large, small/);
    await expect(texts({ path: 'me/tales', name: 'smal', fetch, cache: 'c4' })).rejects.toThrow(/did you mean "small"/);
    await expect(texts({ path: 'me/tales', name: 'small', split: 'dev', fetch, cache: 'c4' })).rejects.toThrow(/Its splits: test, train/);
  });

  it('explains refused access, unknown names and damaged downloads', async () => {
    const { fetch } = await fakeHub();
    await expect(texts({ path: 'me/secret', fetch, cache: 'c5' })).rejects.toThrow(/refuses access \(401\).*HF_TOKEN/);
    await expect(texts({ path: 'me/unknown', fetch, cache: 'c5' })).rejects.toThrow(/neither a file here nor a dataset/);
    await expect(texts({ path: '../no/such/folder', fetch, cache: 'c5' })).rejects.toThrow(/no such file or folder/);
    const damaging = await fakeHub((path, bytes) => (path.endsWith('1.parquet') ? Uint8Array.from(bytes).fill(7, 20, 30) : bytes));
    await expect(texts({ path: 'me/tales', name: 'small', fetch: damaging.fetch, cache: 'c6' })).rejects.toThrow(
      /0001\.parquet arrived damaged/,
    );
    const cutting = await fakeHub((path, bytes) => (path.endsWith('1.parquet') ? bytes.subarray(0, 100) : bytes));
    await expect(texts({ path: 'me/tales', name: 'small', fetch: cutting.fetch, cache: 'c6' })).rejects.toThrow(/0001\.parquet/);
    expect(await texts({ path: 'me/tales', name: 'small', fetch, cache: 'c6' })).toEqual(['first', 'second']);
  });

  it('honours HF_ENDPOINT and HF_TOKEN', async () => {
    const hub = await fakeHub();
    const env = { HF_ENDPOINT: 'https://mirror.example', HF_TOKEN: 'hf_test' };
    await texts({ path: 'me/tales', name: 'large', fetch: hub.fetch, env, cache: 'c7' });
    expect(hub.calls.every((c) => c.startsWith('mirror.example/'))).toBe(true);
    expect(hub.headers.every((h) => h === 'Bearer hf_test')).toBe(true);
  });
});
