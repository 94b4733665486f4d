import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DownloadProgress, downloadSnapshot, HubError, matches, resolveModelFolder } from '../../../src/models/checkpoint/hub.js';
import { hubCacheFolder } from '../../../src/models/checkpoint/hubCache.js';
import { temporaryFolder } from './temporaryFolder.js';

const root = temporaryFolder();
const first = '1'.repeat(40);
const second = '2'.repeat(40);
const weights = Buffer.alloc(300_000, 'weights ');

/** What the imitated hub holds, and what it saw. */
const hub = {
  head: first,
  files: {
    'config.json': Buffer.from('{"a": 1}'),
    'model.safetensors': weights,
    'sub/tokenizer.json': Buffer.from('{}'),
    'pytorch_model.bin': Buffer.from('pickle'),
  } as Record<string, Buffer>,
  extraPaths: [] as string[],
  requests: [] as string[],
  tokens: new Set<string | undefined>(),
  failure: undefined as 'cut' | 'corrupt' | 'gated' | undefined,
};
let server: Server;
let hubUrl: string;
let cacheDir: string;
let caches = 0;

const entry = (path: string): unknown => {
  const content = hub.files[path] ?? Buffer.alloc(0);
  const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  const lfs = path.endsWith('.safetensors')
    ? { oid: createHash('sha256').update(content).digest('hex'), size: content.length, pointerSize: 130 }
    : undefined;
  return { type: 'file', path, size: content.length, oid, lfs };
};

function answer(request: IncomingMessage, response: ServerResponse): unknown {
  const url = new URL(request.url ?? '/', 'http://hub');
  hub.requests.push(url.pathname);
  hub.tokens.add(request.headers.authorization);
  const json = (status: number, body: unknown): unknown =>
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  if (hub.failure === 'gated') return json(401, { error: 'Access to model org/tiny is restricted' });
  const info = /^\/api\/models\/org\/tiny\/revision\/(.+)$/.exec(url.pathname);
  if (info) {
    const sha = { main: hub.head, v1: first, [first]: first, [second]: second }[decodeURIComponent(info[1] ?? '')];
    return sha ? json(200, { _id: 'x', id: 'org/tiny', sha, lastModified: 0 }) : json(404, { error: 'Revision not found' });
  }
  if (url.pathname.startsWith('/api/models/org/tiny/tree/'))
    return json(200, [{ type: 'directory', path: 'sub', size: 0 }, ...[...Object.keys(hub.files), ...hub.extraPaths].map(entry)]);
  const path = /^\/org\/tiny\/resolve\/[^/]+\/(.+)$/.exec(url.pathname)?.[1];
  const stored = path === undefined ? undefined : hub.files[path];
  if (!stored) return json(404, { error: 'Repository not found' });
  if (request.headers.range === 'bytes=0-0') {
    response.writeHead(206, { 'Content-Range': `bytes 0-0/${stored.length}`, ETag: '"x"' }).end(stored.subarray(0, 1));
    return undefined;
  }
  const content = hub.failure === 'corrupt' ? Buffer.from(stored.map((b) => b ^ 1)) : stored;
  response.writeHead(200, { 'Content-Length': content.length });
  if (hub.failure !== 'cut') return response.end(content);
  return response.write(content.subarray(0, content.length / 2), () => response.destroy());
}

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());
beforeEach(() => {
  cacheDir = join(root, `cache-${caches++}`);
  Object.assign(hub, { head: first, extraPaths: [], requests: [], tokens: new Set(), failure: undefined });
  vi.stubEnv('HF_TOKEN', undefined);
  vi.stubEnv('HF_HUB_OFFLINE', undefined);
});
afterEach(() => vi.unstubAllEnvs());

/** All files below the cache, without those of the layout itself. */
const everything = (): string[] => (existsSync(cacheDir) ? readdirSync(cacheDir, { recursive: true, encoding: 'utf8' }) : []);

describe('downloadSnapshot', () => {
  it('fills the cache in the layout of huggingface_hub, and downloads nothing twice', async () => {
    const seen: DownloadProgress[] = [];
    const folder = await downloadSnapshot('org/tiny', { hubUrl, cacheDir, onProgress: (p) => seen.push(p) });
    expect(folder).toBe(join(cacheDir, 'models--org--tiny', 'snapshots', first));
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readFileSync(join(folder, 'sub/tokenizer.json'), 'utf8')).toBe('{}');
    expect(existsSync(join(folder, 'pytorch_model.bin'))).toBe(false);
    expect(readFileSync(join(cacheDir, 'models--org--tiny/refs/main'), 'utf8')).toBe(first);
    const hash = createHash('sha256').update(weights).digest('hex');
    expect(readFileSync(join(cacheDir, 'models--org--tiny/blobs', hash)).equals(weights)).toBe(true);
    if (process.platform !== 'win32') expect(lstatSync(join(folder, 'config.json')).isSymbolicLink()).toBe(true);
    expect(everything().filter((f) => f.includes('incomplete'))).toEqual([]);

    const total = weights.length + 10;
    expect(seen.at(-1)).toMatchObject({ loadedOfAll: total, totalOfAll: total });
    expect(seen.every((p, i) => i === 0 || p.loadedOfAll >= (seen[i - 1] as DownloadProgress).loadedOfAll)).toBe(true);
    expect(seen.filter((p) => p.file === 'model.safetensors').at(-1)).toMatchObject({ loaded: weights.length, total: weights.length });

    hub.requests = [];
    expect(await downloadSnapshot('org/tiny', { hubUrl, cacheDir })).toBe(folder);
    expect(hub.requests.filter((r) => r.includes('/resolve/'))).toEqual([]);
  });

  it('pins revisions, and shares contents between them', async () => {
    const old = await downloadSnapshot('org/tiny', { hubUrl, cacheDir, revision: 'v1' });
    hub.head = second;
    hub.requests = [];
    const now = await downloadSnapshot('org/tiny', { hubUrl, cacheDir });
    expect([old, now].map((f) => f.slice(-40))).toEqual([first, second]);
    expect(hub.requests.filter((r) => r.includes('/resolve/'))).toEqual([]);
    expect(await downloadSnapshot('org/tiny', { hubUrl, cacheDir, revision: second, offline: true })).toBe(now);
    expect(await downloadSnapshot('org/tiny', { cacheDir, revision: 'v1', offline: true })).toBe(old);
  });

  it('offline, uses the cache or says what is missing, without a request', async () => {
    await downloadSnapshot('org/tiny', { hubUrl, cacheDir, include: ['config.json'] });
    hub.requests = [];
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const folder = await downloadSnapshot('org/tiny', { hubUrl, cacheDir });
    expect(readdirSync(folder)).toEqual(['config.json']);
    await expect(downloadSnapshot('org/tiny', { hubUrl, cacheDir, include: ['config.json', 'model.safetensors'] })).rejects.toThrow(
      '"model.safetensors" of "org/tiny"',
    );
    await expect(downloadSnapshot('org/tiny', { hubUrl, cacheDir, revision: 'v9' })).rejects.toThrow(
      'offline, and "org/tiny" at revision "v9" is not in the cache',
    );
    await expect(downloadSnapshot('org/other', { hubUrl, cacheDir })).rejects.toThrow(HubError);
    expect(hub.requests).toEqual([]);
  });

  it.each([
    ['cut', 'could not be downloaded'],
    ['corrupt', 'arrived damaged'],
  ] as const)('a transfer that is %s leaves nothing behind, and works the next time', async (failure, message) => {
    hub.failure = failure;
    await expect(downloadSnapshot('org/tiny', { hubUrl, cacheDir })).rejects.toThrow(message);
    expect(everything().filter((f) => /incomplete|snapshots.|refs./.test(f))).toEqual([]);
    await expect(downloadSnapshot('org/tiny', { cacheDir, offline: true })).rejects.toThrow('not in the cache');
    hub.failure = undefined;
    const folder = await downloadSnapshot('org/tiny', { hubUrl, cacheDir });
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  });

  it('sends the token of HF_TOKEN, or the one that is given', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_environment');
    await downloadSnapshot('org/tiny', { hubUrl, cacheDir });
    expect([...hub.tokens]).toEqual(['Bearer hf_environment']);
    hub.tokens.clear();
    await downloadSnapshot('org/tiny', { hubUrl, cacheDir, token: 'hf_given' });
    expect([...hub.tokens]).toEqual(['Bearer hf_given']);
  });

  it('explains what the hub answers', async () => {
    await expect(downloadSnapshot('org/tiny', { hubUrl, cacheDir, revision: 'v9' })).rejects.toThrow('no such repository or revision');
    await expect(downloadSnapshot('org/tiny', { hubUrl, cacheDir, include: ['*.gguf'] })).rejects.toThrow('no file that matches *.gguf');
    await expect(downloadSnapshot('org/tiny', { hubUrl: 'http://127.0.0.1:1', cacheDir })).rejects.toThrow('check the network');
    hub.failure = 'gated';
    const gated = downloadSnapshot('org/tiny', { hubUrl, cacheDir });
    await expect(gated).rejects.toThrow('set HF_TOKEN');
    await expect(gated).rejects.toThrow(HubError);
  });

  it.each(['../../evil.json', '/etc/evil.json', 'a/../../evil.json', 'C:\\evil.json', 'a//b.json'])(
    'refuses a repository that lists %s',
    async (path) => {
      hub.extraPaths = [path];
      await expect(downloadSnapshot('org/tiny', { hubUrl, cacheDir })).rejects.toThrow('no path inside a folder');
      expect(everything()).toEqual([]);
    },
  );

  it.each(['../x', 'a/b/c', 'org/..', '', 'org/ti ny', 'https://x/y'])('refuses the repository id %j', async (repo) => {
    await expect(downloadSnapshot(repo, { hubUrl, cacheDir })).rejects.toThrow('no repository id');
  });

  it('refuses a revision that leaves the cache', async () => {
    await expect(downloadSnapshot('org/tiny', { hubUrl, cacheDir, revision: '../../x' })).rejects.toThrow('no path inside a folder');
  });
});

describe('resolveModelFolder', () => {
  it('takes what exists here, else the hub', async () => {
    const local = join(root, 'local');
    mkdirSync(local);
    expect(await resolveModelFolder(local, { offline: true })).toBe(local);
    expect(await resolveModelFolder('org/tiny', { hubUrl, cacheDir })).toContain(first);
    await expect(resolveModelFolder('./no/such/folder')).rejects.toThrow('neither a file or folder here nor');
  });
});

it('finds the cache as huggingface_hub does', () => {
  expect(hubCacheFolder({ HF_HUB_CACHE: '/c', HF_HOME: '/h' })).toBe('/c');
  expect(hubCacheFolder({ HF_HOME: '/h' })).toBe(join('/h', 'hub'));
  expect(hubCacheFolder({ XDG_CACHE_HOME: '/x' })).toBe(join('/x', 'huggingface', 'hub'));
  expect(hubCacheFolder({})).toMatch(/\.cache.huggingface.hub$/);
});

it('matches patterns as huggingface_hub does', () => {
  expect(matches('sub/a.json', ['*.json'])).toBe(true);
  expect(matches('a.jsonl', ['*.json'])).toBe(false);
  expect(matches('model-00001-of-00002.safetensors', ['model-?????-of-*.safetensors'])).toBe(true);
  expect(matches('a+b.txt', ['a+b.txt'])).toBe(true);
  expect(matches('aab.txt', ['a+b.txt'])).toBe(false);
});
