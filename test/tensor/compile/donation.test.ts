import { describe, expect, it } from 'vitest';
import { array, NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile, DisposedError, spec } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';

const vector = (...xs: number[]): NDArray => array(Float32Array.from(xs));
const fails = (f: () => unknown): Error => {
  try {
    f();
  } catch (e) {
    return e as Error;
  }
  throw new Error('no error');
};

describe('donated arguments', () => {
  it('are gone afterwards, and the error says where to look', async () => {
    const step = compile((s: { w: Tensor }, x: Tensor) => [{ w: s.w.add(x) }, x.sum()] as const, { donate: [0], name: 'step' });
    const first = { w: vector(1, 2) };
    const [second] = await step.run(first, vector(1, 1));
    expect(first.w.isDisposed).toBe(true);
    const error = fails(() => first.w.data);
    expect(error).toBeInstanceOf(DisposedError);
    expect(error.message).toBe('array f32[2] was donated to step; use the array that it returned instead');
    await expect(step.run(first, vector(1, 1))).rejects.toThrow(/was donated to step/);
    expect(fails(() => step.runSync(first, vector(1, 1)))).toBeInstanceOf(DisposedError);
    expect(second.w.toNumbers()).toEqual([2, 3]);
    step.dispose();
  });

  it('give their memory to the results: in place, or as the other half of a double buffer', () => {
    const inPlace = compile((w: Tensor) => w.mul(2), { donate: [0] });
    const w = vector(1, 2);
    const memory = w.data;
    expect(inPlace.runSync(w).data).toBe(memory);

    const doubled = compile((m: Tensor) => m.matmul(m), { donate: [0] });
    let m = array([
      [1, 1],
      [0, 1],
    ]);
    const seen = new Set<unknown>();
    for (let i = 0; i < 6; i++) {
      seen.add(m.data);
      const next = doubled.runSync(m);
      expect(next.data).not.toBe(m.isDisposed ? undefined : m.data);
      m = next;
    }
    expect(seen.size).toBe(2);
    expect(m.toNested()).toEqual([
      [1, 64],
      [0, 1],
    ]);
    inPlace.dispose();
    doubled.dispose();
  });

  it('gives the numbers that runs without donation give', () => {
    const step = (s: { w: Tensor; m: Tensor }, x: Tensor) => {
      const g = s.w.matmul(x).tanh();
      const norm = g.square().sum().sqrt();
      const m = s.m.mul(0.9).add(g.div(norm.add(1)));
      return [{ w: s.w.sub(m.mul(0.1)), m }, norm] as const;
    };
    const initial = () => ({
      w: array([
        [1, 2],
        [3, 4],
      ]),
      m: array([
        [0, 0],
        [0, 0],
      ]),
    });
    const [plain, donating] = [compile(step), compile(step, { donate: [0] })];
    let [a, b] = [initial(), initial()];
    for (let i = 0; i < 8; i++) {
      const x = array([
        [Math.sin(i), 1],
        [0.5, Math.cos(i)],
      ]);
      const [nextA, normA] = plain.runSync(a, x);
      const [nextB, normB] = donating.runSync(b, x);
      expect(nextB.w.toNumbers()).toEqual(nextA.w.toNumbers());
      expect(nextB.m.toNumbers()).toEqual(nextA.m.toNumbers());
      expect(normB.item()).toBe(normA.item());
      [a, b] = [nextA, nextB];
    }
    plain.dispose();
    donating.dispose();
  });

  it('must not share memory with another argument', () => {
    const step = compile((s: { a: Tensor; b: Tensor }, x: Tensor) => ({ a: s.a.add(x), b: s.b.sub(x) }), { donate: [0], name: 'step' });
    const zeros = vector(0, 0);
    expect(fails(() => step.runSync({ a: zeros, b: zeros }, vector(1, 1))).message).toBe(
      'step: arg0.a is donated, but arg0.b shares its memory; pass a copy (clone()) for one of them',
    );
    const [w, other] = [vector(1, 2), vector(3, 4)];
    expect(fails(() => step.runSync({ a: w, b: other }, w)).message).toMatch(/arg0.a is donated, but arg1 shares its memory/);
    const block = new Float32Array([1, 2, 3, 4, 5]);
    const view = (from: number): NDArray => new NDArray('f32', [2], block.subarray(from, from + 2));
    expect(fails(() => step.runSync({ a: view(0), b: view(1) }, vector(1, 1))).message).toMatch(/shares its memory/);
    // neighbours in one buffer are separate memory
    const out = step.runSync({ a: view(0), b: view(2) }, vector(1, 1));
    expect([out.a.toNumbers(), out.b.toNumbers(), Array.from(block)]).toEqual([
      [2, 3],
      [2, 3],
      [2, 3, 2, 3, 5],
    ]);
    step.dispose();
  });

  it('stay valid after a run that failed', () => {
    const step = compile((w: Tensor, ids: Tensor) => w.sub(w.gather(ids).sum()), { donate: [0] });
    const w = vector(1, 2);
    expect(() => step.runSync(w, array([7], { dtype: 'i32' }))).toThrow();
    expect(w.toNumbers()).toEqual([1, 2]);
    expect(step.runSync(w, array([0], { dtype: 'i32' })).toNumbers()).toEqual([0, 1]);
    step.dispose();
  });

  it('need no result of their own', () => {
    const f = compile((w: Tensor, x: Tensor) => w.sum().add(x), { donate: [0] });
    const w = vector(1, 2);
    expect(f.runSync(w, 1).item()).toBe(4);
    expect(w.isDisposed).toBe(true);
    const g = compile((x: Tensor) => x, { donate: [1], name: 'g' });
    expect(fails(() => g.runSync(vector(1))).message).toMatch(/g: donate names argument 1, but there are 1/);
    f.dispose();
  });

  it('fit results of the same shape even where the structures differ', () => {
    const f = compile((a: Tensor, b: Tensor) => ({ sum: a.add(b), b: b.mul(2), first: a.slice({ 0: [0, 1] }) }), { donate: [1, 0] });
    const [a, b] = [vector(1, 2), vector(3, 4)];
    const out = f.runSync(a, b);
    expect([out.sum.toNumbers(), out.b.toNumbers(), out.first.toNumbers()]).toEqual([[4, 6], [6, 8], [1]]);
    f.dispose();
  });

  it('may have a symbolic size', () => {
    const f = compile((x: Tensor) => x.flip(0), { donate: [0], args: [spec('f32', ['N'])] });
    for (const n of [3, 2, 2, 4, 3]) {
      const x = Array.from({ length: n }, (_, i) => i);
      expect(f.runSync(vector(...x)).toNumbers()).toEqual([...x].reverse());
    }
    f.dispose();
  });

  it('grow a cache in place', () => {
    const step = compile(
      (s: { k: Tensor; v: Tensor }, x: Tensor, length: Tensor) => {
        const out = ops.cachedAttention({ q: x, k: x.mul(0.5), v: x.sin(), pastK: s.k, pastV: s.v, length }, { heads: 1 });
        return [{ k: out.pastK, v: out.pastV }, out.out] as const;
      },
      { donate: [0] },
    );
    const reference = compile(step.fn, { backend: 'reference' });
    const cache = () => ({
      k: array(new Float32Array(32), { shape: [1, 1, 4, 8] }),
      v: array(new Float32Array(32), { shape: [1, 1, 4, 8] }),
    });
    let [a, b] = [cache(), cache()];
    const memory = a.k.data;
    for (let i = 0; i < 4; i++) {
      const x = array(
        Float32Array.from({ length: 8 }, (_, j) => Math.sin(i * 8 + j)),
        { shape: [1, 1, 8] },
      );
      const length = array([i], { dtype: 'i32' });
      const [nextA, outA] = step.runSync(a, x, length);
      const [nextB, outB] = reference.runSync(b, x, length);
      outA.toNumbers().forEach((v, j) => {
        expect(v).toBeCloseTo(outB.toNumbers()[j] as number, 5);
      });
      [a, b] = [nextA, nextB];
    }
    expect(a.k.data).toBe(memory);
    step.dispose();
  });
});

describe('updated arguments', () => {
  it('stay valid: the result is the passed array with new contents', async () => {
    const add = compile((w: Tensor, x: Tensor) => [w.add(x), x.sum()] as const, { update: [0] });
    const w = vector(1, 2);
    const { data } = w;
    for (let i = 0; i < 3; i++) expect((await add.run(w, vector(1, 1)))[0]).toBe(w);
    expect(w.data).toBe(data);
    expect(w.toNumbers()).toEqual([4, 5]);
    add.dispose();
  });

  it('keep their contents where writing over them is not proved safe: the result is a fresh array', () => {
    const square = compile((m: Tensor) => m.matmul(m), { update: [0] });
    const m = array([
      [1, 1],
      [0, 1],
    ]);
    const [first, second] = [square.runSync(m), square.runSync(m)];
    expect(first).not.toBe(second);
    for (const out of [first, second]) expect(out.toNumbers()).toEqual([1, 2, 0, 1]);
    expect(m.toNumbers()).toEqual([1, 1, 0, 1]);
    square.dispose();
  });

  it('must not share memory with another argument', () => {
    const add = compile((w: Tensor, x: Tensor) => w.add(x), { update: [0], name: 'add' });
    const w = vector(1, 2);
    expect(() => add.runSync(w, new NDArray('f32', [2], w.data))).toThrow(/add: arg0 is written over, but arg1 shares its memory/);
    add.dispose();
  });
});
