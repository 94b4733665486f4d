import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { allocate, array, encode, NDArray, zeros } from '../../../src/tensor/array.js';
import { ort } from '../../../src/tensor/backends/ort.js';
import { ortNode } from '../../../src/tensor/backends/ortNode.js';
import { runtime } from '../../../src/tensor/backends/ortRuntime.js';
import type { ModelSpec, Session } from '../../../src/tensor/backends/types.js';
import { BackendError, DisposedError } from '../../../src/tensor/errors.js';
import { binary, model, unary, value } from './models.js';

const cpu = { device: 'cpu' } as const;
const MiB = 2 ** 20;
const rss = (): number => process.memoryUsage.rss() / MiB;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Collects garbage and lets finalizers run, until `done` or for two seconds. */
async function collected(done: () => boolean): Promise<boolean> {
  for (let i = 0; i < 40 && !done(); i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return done();
}

/** y = table[row], for a table too large to be copied unnoticed. */
const gather = (rows: number, columns: number, tableIsInput: boolean): ModelSpec => {
  const table = value('table', 'f32', [rows, columns]);
  const row = value('row', 'i64', []);
  return model(
    [{ op: 'Gather', inputs: ['table', 'row'], outputs: ['y'] }],
    tableIsInput ? [table, row] : [row],
    [value('y', 'f32', [columns])],
    tableIsInput ? [] : [table],
  );
};

describe('memory', () => {
  const rows = 32 * 1024;
  const columns = 1024;
  const table = zeros([rows, columns]); // 128 MiB
  (table.data as Float32Array).fill(1);
  const row = (i: number): NDArray => array(i, { dtype: 'i64' });

  it('reads a large input where it is', () => {
    const session = ort.createSessionSync(gather(rows, columns, true), cpu);
    const before = rss();
    const y = zeros([columns]);
    for (let i = 0; i < 3; i++) session.runSync([table, row(i)], [y]);
    expect(y.data[5]).toBe(1);
    expect(rss() - before).toBeLessThan(32);
    (table.data as Float32Array)[7 * columns] = 42;
    session.runSync([table, row(7)], [y]);
    expect(y.data[0]).toBe(42);
    session.dispose();
  });

  it('writes a large output where it is', () => {
    const session = ort.createSessionSync(unary('Neg', 'f32', ['r', 'c']), cpu);
    const out = zeros([rows, columns]);
    (out.data as Float32Array).fill(0);
    const before = rss();
    session.runSync([table], [out]);
    session.runSync([out], [out]);
    expect(rss() - before).toBeLessThan(32);
    expect(out.data[9]).toBe(1);
    session.dispose();
  });

  it('reads initializers where they are: later edits are seen, and loading leaves no copy behind', () => {
    const before = rss();
    const session = ort.createSessionSync({ ...gather(rows, columns, false), initializers: new Map([['table', table]]) }, cpu);
    expect(rss() - before).toBeLessThan(48);
    const y = zeros([columns]);
    (table.data as Float32Array)[3 * columns + 1] = -5;
    session.runSync([row(3)], [y]);
    expect(y.data[1]).toBe(-5);
    session.dispose();
  });

  it('folds constants computed from initializers', () => {
    const spec = model(
      [
        { op: 'Neg', inputs: ['w'], outputs: ['v'] },
        { op: 'Add', inputs: ['x', 'v'], outputs: ['y'] },
      ],
      [value('x', 'f32', ['n'])],
      [value('y', 'f32', ['n'])],
      [value('w', 'f32', [3])],
    );
    const y = zeros([3]);
    for (const optimization of ['disabled', 'basic', 'all'] as const) {
      const session = ort.createSessionSync({ ...spec, initializers: new Map([['w', array([1, 2, 3])]]) }, { ...cpu, optimization });
      session.runSync([array([10, 10, 10])], [y]);
      expect(y.toNumbers()).toEqual([9, 8, 7]);
      session.dispose();
    }
  });

  it('maps files of weights instead of reading them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vitro-test-'));
    try {
      const big = 64 * 1024; // 256 MiB, sparse
      writeFileSync(join(folder, 'weights.bin'), '');
      truncateSync(join(folder, 'weights.bin'), big * columns * 4);
      const spec = model(
        [{ op: 'Gather', inputs: ['table', 'row'], outputs: ['y'] }],
        [value('row', 'i64', [])],
        [value('y', 'f32', [columns])],
        [{ ...value('table', 'f32', [big, columns]), location: 'weights.bin', offset: 0, length: big * columns * 4 }],
      );
      const before = rss();
      const session = ort.createSessionSync({ ...spec, modelPath: folder }, cpu);
      const y = array(new Float32Array(columns).fill(9));
      session.runSync([row(big - 1)], [y]);
      expect(y.data[0]).toBe(0);
      expect(rss() - before).toBeLessThan(64);
      session.dispose();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('lets go of arrays that nobody uses', async () => {
    const session = ort.createSessionSync(unary('Neg', 'f32', ['n']), cpu);
    const held = (): number => process.memoryUsage().arrayBuffers / MiB;
    const before = held();
    for (let i = 0; i < 40; i++) {
      const x = zeros([2 * MiB]);
      session.runSync([x], [x]);
    }
    expect(await collected(() => held() - before < 24)).toBe(true);
    session.dispose();
  });

  it('frees sessions that nobody uses', async () => {
    const profiles = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith(`vitro-profile-${process.pid}-`));
    const before = new Set(profiles());
    // a profile's folder shows whether its session was freed
    (() => {
      ort.createSessionSync(binary('Add'), { ...cpu, profile: true }).runSync([zeros([2]), zeros([2])], [zeros([2])]);
    })();
    const mine = profiles().filter((name) => !before.has(name));
    expect(mine.length).toBeGreaterThan(0);
    expect(await collected(() => mine.every((name) => !existsSync(join(tmpdir(), name))))).toBe(true);
  });

  it('takes small typed arrays, whose elements V8 may move', () => {
    const session = ort.createSessionSync(binary('Add'), cpu);
    const x = new NDArray('f32', [2], new Float32Array([1, 2]));
    const z = new NDArray('f32', [2], new Float32Array(2));
    for (let i = 0; i < 3; i++) {
      session.runSync([x, x], [z]);
      gc();
      session.runSync([z, x], [z]);
      gc();
      expect(z.toNumbers()).toEqual([3, 6]);
    }
    session.dispose();
  });

  it('refuses memory that was transferred away', () => {
    const session = ort.createSessionSync(binary('Add'), cpu);
    const x = zeros([1000]);
    session.runSync([x, x], [x]);
    structuredClone(x.data.buffer, { transfer: [x.data.buffer as ArrayBuffer] });
    expect(() => session.runSync([x, x], [zeros([1000])])).toThrow(/array f32\[1000\] was detached/);
    session.dispose();
  });

  it('refuses disposed arrays', () => {
    const session = ort.createSessionSync(binary('Add'), cpu);
    const x = zeros([2]);
    session.runSync([x, x], [x]);
    x.dispose('donated to step()');
    expect(() => session.runSync([x, x], [zeros([2])])).toThrow(DisposedError);
    session.dispose();
  });
});

describe('asynchronous runs', () => {
  const n = 512;
  const matmul = (): Session => ort.createSessionSync(binary('MatMul', 'f32', [n, n]), { ...cpu, threads: 1 });
  const square = (fill: number): NDArray => array(new Float32Array(n * n).fill(fill), { shape: [n, n] });

  it('leave the event loop free', async () => {
    const session = matmul();
    const [x, y, z] = [square(1), square(2), zeros([n, n])];
    let ticks = 0;
    let running = true;
    const tick = (): void => {
      ticks++;
      if (running) setImmediate(tick);
    };
    setImmediate(tick);
    for (let i = 0; i < 5; i++) await session.run([x, y], [z]);
    running = false;
    expect(z.data[0]).toBe(2 * n);
    expect(ticks).toBeGreaterThan(2);
    session.dispose();
  });

  it('overlap on one session, with synchronous runs between them', async () => {
    const session = matmul();
    const one = square(1);
    const outputs = Array.from({ length: 6 }, () => zeros([n, n]));
    const runs = outputs.map((z, i) => session.run([one, square(i)], [z]));
    const now = zeros([n, n]);
    session.runSync([one, square(100)], [now]);
    await Promise.all(runs);
    expect(now.data[17]).toBe(100 * n);
    expect(outputs.map((z) => z.data[n * n - 1])).toEqual([0, 1, 2, 3, 4, 5].map((i) => i * n));
    session.dispose();
  });

  it('keep the memory of their arrays, even of those disposed meanwhile', async () => {
    const session = matmul();
    const outputs = Array.from({ length: 8 }, () => zeros([n, n]));
    const runs = outputs.map((z) => {
      const x = square(3);
      const run = session.run([x, x], [z]);
      x.dispose();
      return run;
    });
    session.dispose();
    for (let i = 0; i < 4; i++) {
      gc();
      zeros([MiB]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(runs);
    expect(outputs.map((z) => z.data[1])).toEqual(new Array(8).fill(9 * n));
  });

  it('reject with ONNX Runtime’s message', async () => {
    const session = matmul();
    await expect(session.run([zeros([2, 2]), square(1)], [zeros([n, n])])).rejects.toThrow(/invalid dimensions for input: x/);
    await expect(session.run([square(1), square(1)], [zeros([n])])).rejects.toThrow(BackendError);
    session.dispose();
  });

  it('create sessions while the event loop runs', async () => {
    const sessions = await Promise.all(Array.from({ length: 4 }, () => ort.createSession(binary('Add'), cpu)));
    for (const session of sessions) {
      const z = zeros([1]);
      await session.run([array([1]), array([2])], [z]);
      expect(z.item()).toBe(3);
      session.dispose();
    }
  });
});

it('casts to and from bf16', () => {
  const spec = model(
    [
      { op: 'Cast', inputs: ['x'], outputs: ['b'], attrs: { to: 16 } },
      { op: 'Cast', inputs: ['b'], outputs: ['y'], attrs: { to: 1 } },
    ],
    [value('x', 'f32', ['n'])],
    [value('b', 'bf16', ['n']), value('y', 'f32', ['n'])],
  );
  const [b, y] = [zeros([3], 'bf16'), zeros([3])];
  const values = [1.5, -2, 3.140625];
  ort.createSessionSync(spec, cpu).runSync([array(values)], [b, y]);
  expect([...b.data]).toEqual([...encode('bf16', values)]);
  expect(y.toNumbers()).toEqual(values);
});

it('gives the bits of onnxruntime-node', async () => {
  const n = 64;
  const spec = model(
    [
      { op: 'MatMul', inputs: ['x', 'y'], outputs: ['h'] },
      { op: 'Softmax', inputs: ['h'], outputs: ['p'] },
      { op: 'Erf', inputs: ['p'], outputs: ['z'] },
    ],
    [value('x', 'f32', ['a', n]), value('y', 'f32', [n, n])],
    [value('z', 'f32', ['a', n]), value('h', 'f32', ['a', n])],
  );
  const x = array(
    Float32Array.from({ length: 10 * n }, (_, i) => Math.cos(i * i)),
    { shape: [10, n] },
  );
  const y = array(
    Float32Array.from({ length: n * n }, (_, i) => Math.sin(3 * i)),
    { shape: [n, n] },
  );
  const results = [ort, ortNode].map((backend) => {
    const outputs = [zeros([10, n]), zeros([10, n])];
    backend.createSessionSync(spec, cpu).runSync([x, y], outputs);
    return outputs.map((o) => o.toNumbers());
  });
  expect(results[0]).toEqual(results[1]);
});

it('shares one pool of threads between sessions that take turns', () => {
  expect(runtime().sharedPool).toBe(true);
});

describe('workers', () => {
  const workers: Worker[] = [];
  afterAll(() => Promise.all(workers.map((w) => w.terminate())));

  it('share arrays by SharedArrayBuffer', async () => {
    const z = allocate('f32', [4], { shared: true });
    const worker = new Worker("require('node:worker_threads').parentPort.on('message', (z) => { z.fill(5); process.exit(0); });", {
      eval: true,
    });
    workers.push(worker);
    const exited = new Promise((resolve) => worker.on('exit', resolve));
    worker.postMessage(z.data);
    await exited;
    const y = zeros([4]);
    ort.createSessionSync(binary('Add'), cpu).runSync([z, z], [y]);
    expect(y.toNumbers()).toEqual([10, 10, 10, 10]);
  });
});

describe.skipIf(!ort.devices().includes('webgpu'))('WebGPU', () => {
  it('multiplies matrices on the device, synchronously and not', async () => {
    const session = ort.createSessionSync(binary('MatMul', 'f32', [8, 8]), { device: 'webgpu', profile: true });
    const x = array(new Float32Array(64).fill(2), { shape: [8, 8] });
    const z = zeros([8, 8]);
    session.runSync([x, x], [z]);
    expect(z.data[3]).toBe(32);
    await session.run([z, x], [z]);
    expect(z.data[3]).toBe(512);
    expect(session.endProfiling().map(({ provider }) => provider)).toEqual(['WebGpuExecutionProvider', 'WebGpuExecutionProvider']);
    session.dispose();
  });
});
