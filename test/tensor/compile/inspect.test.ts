import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { array, NDArray } from '../../../src/tensor/array.js';
import { dtypeInfo, type TypedArray } from '../../../src/tensor/dtype.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile, grad, spec } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { relativeError } from './support.js';

const filled = (shape: number[], seed = 1): NDArray =>
  array(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + 1.3 * i)),
    { shape },
  );

const [heads, d, width, vocabulary, steps] = [2, 4, 8, 11, 6];
/** Logits, loss and a gradient of a one-layer decoder, from nested parameters. */
const decoder = (p: { embed: Tensor; attn: { qkv: Tensor; norm: Tensor } }, ids: Tensor) => {
  const batch = ids.shape[0] as number;
  const h = ops.embedding(ids, p.embed);
  const parts = ops.rmsNorm(h, p.attn.norm).matmul(p.attn.qkv).reshape([batch, steps, 3, heads, d]).transpose([2, 0, 3, 1, 4]);
  const { cos, sin } = ops.ropeTables(steps, d);
  const [q, k, v] = [0, 1, 2].map((i) => parts.at(i)) as [Tensor, Tensor, Tensor];
  const a = ops.scaledDotProductAttention(ops.applyRotary(q, cos, sin), ops.applyRotary(k, cos, sin), v, { causal: true });
  const y = h.add(ops.layerNorm(a.transpose([0, 2, 1, 3]).reshape([batch, steps, width]).gelu()).silu());
  const logits = y.matmul(p.embed, { transB: true });
  const block = ops.checkpoint((t: Tensor) => ops.linearCrossEntropy(t, p.embed, ids));
  const loss = block(y).add(ops.crossEntropy(logits, ids));
  const running = ops.scan((s: Tensor, x: Tensor) => [s.mul(0.5).add(x), s], { init: ops.zeros([vocabulary]), xs: logits.at(0) }).carry;
  return { logits, loss, running, grads: grad(loss, p) };
};
const params = () => ({ embed: filled([vocabulary, width]), attn: { qkv: filled([width, 3 * width], 2), norm: filled([width], 3) } });
const tokens = (batch: number): NDArray =>
  array(
    Int32Array.from({ length: batch * steps }, (_, i) => (i * 5 + 2) % vocabulary),
    { shape: [batch, steps] },
  );
const flat = (r: { logits: NDArray; loss: NDArray; running: NDArray; grads: ReturnType<typeof params> }): NDArray[] => [
  r.logits,
  r.loss,
  r.running,
  r.grads.embed,
  r.grads.attn.qkv,
  r.grads.attn.norm,
];

describe('toOnnx', () => {
  it('gives a file that onnxruntime-node runs with the same results', async () => {
    const f = compile(decoder, { name: 'decoder' });
    const [p, ids] = [params(), tokens(2)];
    const folder = mkdtempSync(join(tmpdir(), 'vitro-'));
    const file = join(folder, 'decoder.onnx');
    writeFileSync(file, f.toOnnx(p, ids));
    const session = await InferenceSession.create(file, { graphOptimizationLevel: 'all' });
    const inputs = [p.embed, p.attn.qkv, p.attn.norm, ids];
    expect(session.inputNames).toEqual(['arg0.embed', 'arg0.attn.qkv', 'arg0.attn.norm', 'arg1']);
    const feeds = Object.fromEntries(
      session.inputNames.map((name, i) => {
        const { dtype, data, shape } = inputs[i] as NDArray;
        return [name, new OrtTensor(dtypeInfo[dtype].ortName as 'float32', data as Float32Array, shape as number[])];
      }),
    );
    const results = await session.run(feeds);
    const got = session.outputNames.map((name) => {
      const t = results[name] as OrtTensor;
      return new NDArray('f32', t.dims, t.data as TypedArray);
    });
    expect(relativeError(got, flat(f.runSync(p, ids)))).toBeLessThan(1e-4);
    expect(relativeError(got, flat(compile(decoder, { backend: 'reference' }).runSync(p, ids)))).toBeLessThan(1e-4);
    await session.release();
    rmSync(folder, { recursive: true });
    f.dispose();
  });

  it('keeps symbolic sizes', async () => {
    const f = compile((x: Tensor) => x.softmax().mean({ axis: 0 }), { args: [spec('f32', ['B', 3])] });
    const session = await InferenceSession.create(f.toOnnx());
    for (const batch of [1, 4]) {
      const x = filled([batch, 3]);
      const result = await session.run({ [session.inputNames[0] as string]: new OrtTensor('float32', x.data as Float32Array, [batch, 3]) });
      const t = result[session.outputNames[0] as string] as OrtTensor;
      expect(relativeError([new NDArray('f32', t.dims, t.data as TypedArray)], [f.runSync(x)])).toBeLessThan(1e-6);
    }
    f.dispose();
  });
});

describe('print', () => {
  it('shows the graph that runs, a line an operation, a section a session', () => {
    const f = compile((x: Tensor, w: Tensor) => x.matmul(w.transpose()).mul(2).add(0));
    const text = f.print(filled([2, 3]), filled([4, 3]));
    expect(text.split('\n')).toEqual([
      'main(%0 f32[2, 3], %1 f32[4, 3])',
      expect.stringMatching(/^ {2}%2 f32\[2, 4\] = matmul\(%0, %1\).* transB=true alpha=2$/),
      '  return %2',
    ]);
    const g = compile(decoder);
    const sections = g.print(params(), tokens(1)).split('\n\n');
    expect(sections.length).toBeGreaterThan(2);
    expect(sections.some((s) => s.startsWith('checkpoint.grad('))).toBe(true);
    expect(compile((x: Tensor) => x.add(1), { args: [spec('f32', ['B'])] }).print()).toContain('%0 f32[B]');
  });
});

describe('profile', () => {
  it('is a table whose rows add up', () => {
    const f = compile((x: Tensor, w: Tensor) => [x.matmul(w).tanh().sum(), x.exp()]);
    const report = f.profile([filled([64, 128]), filled([128, 256])]);
    const total = report.rows.reduce((s, r) => s + r.milliseconds, 0);
    expect(total).toBeCloseTo(report.kernelMilliseconds, 6);
    expect(report.rows.reduce((s, r) => s + r.share, 0)).toBeCloseTo(1, 6);
    const row = (op: string) => report.rows.find((r) => r.op.startsWith(op));
    const product = row('matmul');
    expect(product?.calls).toBe(1);
    // 2 M N K over the measured time
    expect((product?.gflops as number) * (product?.milliseconds as number) * 1e6).toBeCloseTo(2 * 64 * 128 * 256, -2);
    expect(product?.megabytes).toBeCloseTo((4 * (64 * 128 + 128 * 256 + 64 * 256)) / 1e6, 6);
    expect(row('exp')?.calls).toBe(1);
    expect(report.rows.map((r) => r.milliseconds)).toEqual([...report.rows].map((r) => r.milliseconds).sort((a, b) => b - a));
    const text = report.toString().split('\n');
    expect(text.length).toBe(report.rows.length + 2);
    expect(text[0]).toMatch(/operation\s+ms\s+share\s+calls/);
    f.dispose();
  });

  it('counts what a loop does once, and sessions of checkpoints as often as they run', () => {
    const f = compile((xs: Tensor) => {
      const { carry } = ops.scan((h: Tensor, x: Tensor) => [h.matmul(x).tanh(), null], { init: ops.ones([32, 32]), xs });
      const block = ops.checkpoint((t: Tensor) => t.matmul(carry).sin());
      return block(block(block(carry)));
    });
    const report = f.profile([filled([20, 32, 32])]);
    expect(report.kernelMilliseconds).toBeLessThanOrEqual(report.wallMilliseconds * 1.05);
    expect(report.rows.reduce((s, r) => s + r.milliseconds, 0)).toBeCloseTo(report.kernelMilliseconds, 6);
    const row = (op: string) => report.rows.find((r) => r.op.startsWith(op));
    expect([row('sin')?.calls, row('tanh')?.calls, row('scan')?.calls]).toEqual([3, 20, 1]);
    // every iteration and every run of the checkpoint counts
    const product = row('matmul');
    expect((product?.gflops as number) * (product?.milliseconds as number) * 1e6).toBeCloseTo(23 * 2 * 32 ** 3, -2);
    f.dispose();
  });

  it('leaves the arguments as they are, donated or not', () => {
    const f = compile((w: Tensor) => w.add(1), { donate: [0] });
    const w = filled([3]);
    const before = w.toNumbers();
    f.profile([w]);
    expect(w.toNumbers()).toEqual(before);
    f.dispose();
  });

  it('is an error where the backend records nothing', () => {
    expect(() => compile((x: Tensor) => x.add(1), { backend: 'reference' }).profile([1])).toThrow(/records no profile; use backend "ort"/);
  });
});
