import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allocate, array, encode, NDArray, zeros } from '../../../src/tensor/array.js';
import { ort } from '../../../src/tensor/backends/ort.js';
import { ortNode } from '../../../src/tensor/backends/ortNode.js';
import { ortWeb } from '../../../src/tensor/backends/ortWeb.js';
import type { Backend, ModelSpec, Session, SessionOptions } from '../../../src/tensor/backends/types.js';
import { type DType, dtypeInfo } from '../../../src/tensor/dtype.js';
import { BackendError, DisposedError } from '../../../src/tensor/errors.js';
import { binary, model, unary, value } from './models.js';

const cpu: SessionOptions = { device: 'cpu' };

/** Opens a session, runs it once asynchronously, and (where the backend can) once more synchronously, expecting equal bytes. */
async function evaluate(backend: Backend, spec: ModelSpec, inputs: NDArray[], outputs: NDArray[], options = cpu): Promise<void> {
  const session = await backend.createSession(spec, options);
  await session.run(inputs, outputs);
  const first = outputs.map((o) => o.clone());
  if (backend.sync) {
    for (const o of outputs) (o.data as Float32Array).fill(o.dtype === 'i64' ? (9n as unknown as number) : 9);
    session.runSync(inputs, outputs);
    outputs.forEach((o, i) => {
      expect(o.toNumbers()).toEqual((first[i] as NDArray).toNumbers());
    });
  }
  session.dispose();
}

describe.each([ort, ortNode, ortWeb])('backend $name', (backend) => {
  let add: Session;
  beforeAll(async () => {
    add = await backend.createSession(binary('Add'), cpu);
  });
  afterAll(() => add.dispose());

  it('adds', async () => {
    const z = zeros([2]);
    await add.run([array([1, 2]), array([10, 20])], [z]);
    expect(z.toNumbers()).toEqual([11, 22]);
  });

  const samples: Record<Exclude<DType, 'bf16'>, number[]> = {
    f32: [1.5, -2, 2 ** 127],
    f16: [1.5, -2, 65504],
    i32: [2 ** 31 - 1, -(2 ** 31), 7],
    i64: [2 ** 53 - 1, -(2 ** 53), 7],
    u32: [2 ** 32 - 1, 2 ** 31, 7],
    u8: [255, 128, 7],
    bool: [1, 0, 1],
  };
  it.each(Object.entries(samples))('passes %s through unchanged', async (dtype, values) => {
    const x = new NDArray(dtype as DType, [3, 1], encode(dtype as DType, values));
    const y = zeros([3, 1], dtype as DType);
    await evaluate(backend, unary('Identity', dtype as DType, ['n', 1]), [x], [y]);
    expect(y.toNumbers()).toEqual(values);
  });

  it.each(['f32', 'i32', 'i64', 'u32', 'u8'] as const)('computes in %s', async (dtype) => {
    const z = zeros([3], dtype);
    await evaluate(backend, binary('Add', dtype), [array([1, 2, 3], { dtype }), array([4, 5, 6], { dtype })], [z]);
    expect(z.toNumbers()).toEqual([5, 7, 9]);
  });

  it('takes scalars and empty arrays', async () => {
    const z = zeros([]);
    await evaluate(backend, binary('Mul', 'f32', []), [array(3), array(4)], [z]);
    expect(z.item()).toBe(12);
    const empty = zeros([0, 3]);
    await evaluate(backend, binary('Add', 'f32', ['n', 3]), [zeros([0, 3]), zeros([0, 3])], [empty]);
    expect(empty.size).toBe(0);
    // an empty sum is zero
    const sum = array(5);
    const spec = model(
      [{ op: 'ReduceSum', inputs: ['x'], outputs: ['y'], attrs: { keepdims: 0 } }],
      [value('x', 'f32', ['n'])],
      [value('y', 'f32', [])],
    );
    await evaluate(backend, spec, [zeros([0])], [sum]);
    expect(sum.item()).toBe(0);
  });

  it('multiplies as the definition says, for any shape', async () => {
    const session = await backend.createSession(binary('Mul', 'f32', ['a', 'b']), cpu);
    const size = fc.integer({ min: 0, max: 6 });
    const cases = fc.tuple(size, size).chain(([a, b]) => {
      const values = fc.array(fc.float({ noNaN: true }), { minLength: a * b, maxLength: a * b });
      return fc.record({ shape: fc.constant([a, b]), x: values, y: values });
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ shape, x, y }) => {
        const z = zeros(shape);
        await session.run([array(x, { shape }), array(y, { shape })], [z]);
        expect(z.toNumbers()).toEqual(x.map((v, i) => Math.fround(v * (y[i] as number))));
      }),
      { numRuns: 50 },
    );
    session.dispose();
  });

  it('writes every output into the given array, and no byte beside it', async () => {
    const spec = model(
      [
        { op: 'Add', inputs: ['x', 'y'], outputs: ['sum'] },
        { op: 'Sub', inputs: ['x', 'y'], outputs: ['difference'] },
        { op: 'Identity', inputs: ['x'], outputs: ['same'] },
        { op: 'Identity', inputs: ['sum'], outputs: ['again'] },
      ],
      [value('x', 'f32', ['n']), value('y', 'f32', ['n'])],
      ['sum', 'difference', 'same', 'again'].map((name) => value(name, 'f32', ['n'])),
    );
    const memory = new Float32Array(20).fill(-1);
    const outputs = [0, 1, 2, 3].map((i) => new NDArray('f32', [3], memory.subarray(1 + 5 * i, 4 + 5 * i)));
    await evaluate(backend, spec, [array([4, 5, 6]), array([1, 2, 3])], outputs);
    expect([...memory]).toEqual([-1, 5, 7, 9, -1, -1, 3, 3, 3, -1, -1, 4, 5, 6, -1, -1, 5, 7, 9, -1]);
  });

  it('updates an array in place', async () => {
    const w = array([1, 2, 3]);
    const step = array([10, 10, 10]);
    await add.run([w, step], [w]);
    await add.run([w, step], [w]);
    expect(w.toNumbers()).toEqual([21, 22, 23]);
  });

  it('reads and writes SharedArrayBuffers', async () => {
    const [x, y, z] = [0, 1, 2].map(() => allocate('f32', [40], { shared: true })) as [NDArray, NDArray, NDArray];
    (x.data as Float32Array).fill(2);
    (y.data as Float32Array).fill(3);
    await evaluate(backend, binary('Mul'), [x, y], [z]);
    expect(z.toNumbers()).toEqual(new Array(40).fill(6));
  });

  it('keeps overlapping runs apart', async () => {
    const runs = Array.from({ length: 24 }, (_, i) => ({ x: array([i, 1]), y: array([100, i]), z: zeros([2]) }));
    await Promise.all(runs.map(({ x, y, z }) => add.run([x, y], [z])));
    expect(runs.map(({ z }) => z.toNumbers())).toEqual(runs.map((_, i) => [i + 100, i + 1]));
  });

  it('takes initializers from outside of the model', async () => {
    const spec = model(
      [
        { op: 'MatMul', inputs: ['x', 'weight'], outputs: ['h'] },
        { op: 'Add', inputs: ['h', 'layers.0.bias'], outputs: ['y'] },
      ],
      [value('x', 'f32', ['n', 2])],
      [value('y', 'f32', ['n', 3])],
      [value('weight', 'f32', [2, 3]), value('layers.0.bias', 'f32', [3])],
    );
    const initializers = new Map([
      [
        'weight',
        array([
          [1, 2, 3],
          [4, 5, 6],
        ]),
      ],
      ['layers.0.bias', array([100, 200, 300])],
    ]);
    const y = zeros([1, 3]);
    await evaluate(backend, { ...spec, initializers }, [array([[1, 10]])], [y]);
    expect(y.toNumbers()).toEqual([141, 252, 363]);
  });

  describe('reports', () => {
    const one = array([1]);
    it('bytes that are no model', async () => {
      const broken = { ...binary('Add'), model: new Uint8Array([1, 2, 3, 4]) };
      await expect(backend.createSession(broken, cpu)).rejects.toThrow(BackendError);
      await expect(backend.createSession({ ...broken, model: new Uint8Array(0) }, cpu)).rejects.toThrow(BackendError);
    });
    it('an operator that does not exist, by name', async () => {
      await expect(backend.createSession(unary('NoSuchOp'), cpu)).rejects.toThrow(/creating a session: .*NoSuchOp/s);
    });
    it('shapes that do not fit', async () => {
      await expect(add.run([array([1, 2]), array([1, 2, 3])], [zeros([3])])).rejects.toThrow(BackendError);
      await expect(add.run([array([[1]]), one], [zeros([1])])).rejects.toThrow(BackendError);
      await expect(add.run([one, one], [zeros([2])])).rejects.toThrow(/"?'?z'?"?.*shape/s);
    });
    it('dtypes that do not fit, naming the port', async () => {
      await expect(add.run([array([1], { dtype: 'i32' }), one], [zeros([1])])).rejects.toThrow('input "x" is f32, got an array of i32');
      await expect(add.run([one, one], [zeros([1], 'u32')])).rejects.toThrow('output "z" is f32, got an array of u32');
    });
    it('the wrong number of arrays', async () => {
      await expect(add.run([one], [zeros([1])])).rejects.toThrow('the model has 2 inputs, got 1 arrays');
      await expect(add.run([one, one], [])).rejects.toThrow('the model has 1 outputs, got 0 arrays');
    });
    it('arrays that were disposed', async () => {
      const gone = array([1]);
      gone.dispose();
      await expect(add.run([gone, one], [zeros([1])])).rejects.toThrow(DisposedError);
    });
    it('a device that is not there, and those that are', async () => {
      if (backend.devices().includes('cuda')) return;
      await expect(backend.createSession(binary('Add'), { device: 'cuda' })).rejects.toThrow(/device "cuda".*devices that do: cpu/s);
    });
    it('a good run after all that', async () => {
      const z = zeros([1]);
      await add.run([one, one], [z]);
      expect(z.item()).toBe(2);
    });
  });

  it('can be disposed twice, finishes runs under way, and refuses later ones', async () => {
    const session = await backend.createSession(binary('Add'), cpu);
    const z = zeros([2]);
    const under = session.run([array([1, 2]), array([3, 4])], [z]);
    session.dispose();
    session.dispose();
    await under;
    expect(z.toNumbers()).toEqual([4, 6]);
    await expect(session.run([array([1]), array([1])], [zeros([1])])).rejects.toThrow(DisposedError);
    if (backend.sync) expect(() => session.runSync([array([1]), array([1])], [zeros([1])])).toThrow(DisposedError);
  });
});

describe.each([ort, ortNode])('files and profiles on $name', (backend) => {
  const folder = mkdtempSync(join(tmpdir(), 'vitro-test-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const rows = 4;
  const columns = 8;
  const spec = model(
    [{ op: 'Gather', inputs: ['table', 'row'], outputs: ['y'] }],
    [value('row', 'i64', [])],
    [value('y', 'f32', [columns])],
    [{ ...value('table', 'f32', [rows, columns]), location: 'weights.bin', offset: 64, length: rows * columns * dtypeInfo.f32.bytes }],
  );

  it('reads external data beside the model, by folder and by file', async () => {
    const table = Float32Array.from({ length: 16 + rows * columns }, (_, i) => i);
    writeFileSync(join(folder, 'weights.bin'), table);
    writeFileSync(join(folder, 'model.onnx'), spec.model);
    for (const modelPath of [folder, join(folder, 'model.onnx')]) {
      const y = zeros([columns]);
      await evaluate(backend, { ...spec, modelPath }, [array(2, { dtype: 'i64' })], [y]);
      expect(y.toNumbers()).toEqual([32, 33, 34, 35, 36, 37, 38, 39]);
    }
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'weights.bin']);
  });

  it('refuses external data outside of the folder, and paths that do not exist', async () => {
    writeFileSync(join(folder, 'secret'), new Float32Array(rows * columns));
    const inner = mkdtempSync(join(folder, 'inner-'));
    const escaping = model(
      [{ op: 'Identity', inputs: ['table'], outputs: ['y'] }],
      [],
      [value('y', 'f32', [rows, columns])],
      [{ ...value('table', 'f32', [rows, columns]), location: '../secret' }],
    );
    await expect(backend.createSession({ ...escaping, modelPath: inner }, cpu)).rejects.toThrow(BackendError);
    await expect(backend.createSession({ ...spec, modelPath: join(folder, 'nowhere') }, cpu)).rejects.toThrow('does not exist');
  });

  it('reads models without inputs', async () => {
    const constant = model([{ op: 'Identity', inputs: ['w'], outputs: ['y'] }], [], [value('y', 'f32', [2])], [value('w', 'f32', [2])]);
    const y = zeros([2]);
    await evaluate(backend, { ...constant, initializers: new Map([['w', array([3, 4])]]) }, [], [y]);
    expect(y.toNumbers()).toEqual([3, 4]);
  });

  it('records which kernels ran, and leaves no file behind', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith(`vitro-profile-${process.pid}-`));
    const chain = model(
      [
        { op: 'Exp', inputs: ['x'], outputs: ['e'], name: 'first' },
        { op: 'Neg', inputs: ['e'], outputs: ['y'], name: 'second' },
      ],
      [value('x', 'f32', ['n'])],
      [value('y', 'f32', ['n'])],
    );
    const session = backend.createSessionSync(chain, { ...cpu, profile: true });
    session.runSync([zeros([8])], [zeros([8])]);
    await session.run([zeros([8])], [zeros([8])]);
    const events = session.endProfiling();
    expect(events.map(({ node, op }) => `${node}:${op}`)).toEqual(['first:Exp', 'second:Neg', 'first:Exp', 'second:Neg']);
    for (const event of events) {
      expect(event.provider).toBe('CPUExecutionProvider');
      expect(event.microseconds).toBeGreaterThanOrEqual(0);
    }
    session.dispose();
    const unread = backend.createSessionSync(chain, { ...cpu, profile: true });
    unread.dispose();
    expect(() => backend.createSessionSync({ ...chain, model: new Uint8Array(3) }, { ...cpu, profile: true })).toThrow(BackendError);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`vitro-profile-${process.pid}-`))).toEqual(before);
    const plain = backend.createSessionSync(chain, cpu);
    expect(() => plain.endProfiling()).toThrow('profile: true');
    plain.dispose();
  });

  it('refuses numbers of threads that are none', () => {
    for (const threads of [0, -1, 1.5, Number.NaN])
      expect(() => backend.createSessionSync(binary('Add'), { ...cpu, threads })).toThrow('positive integer');
  });

  it('computes the same with any number of threads and at any optimization level', async () => {
    const n = 96;
    const x = array(
      Float32Array.from({ length: n * n }, (_, i) => Math.sin(i)),
      { shape: [n, n] },
    );
    const expected = zeros([n, n]);
    ort.createSessionSync(binary('MatMul', 'f32', [n, n]), { ...cpu, threads: 1 }).runSync([x, x], [expected]);
    for (const options of [{ threads: 2 }, { threads: 3, optimization: 'disabled' }, { optimization: 'all', memPattern: true }] as const) {
      const y = zeros([n, n]);
      await evaluate(backend, binary('MatMul', 'f32', [n, n]), [x, x], [y], { ...cpu, ...options });
      expect(y.toNumbers()).toEqual(expected.toNumbers());
    }
  });

  it('hands unknown and known session entries to ONNX Runtime', async () => {
    const z = zeros([1]);
    await evaluate(backend, binary('Add'), [array([1]), array([2])], [z], { ...cpu, config: { 'session.intra_op.allow_spinning': '0' } });
    expect(z.item()).toBe(3);
  });
});

it('a JavaScript binding says that bf16 needs another backend', async () => {
  for (const backend of [ortNode, ortWeb])
    await expect(backend.createSession(unary('Identity', 'bf16'), cpu)).rejects.toThrow(/"x" is bf16.*backend "ort"/s);
});
