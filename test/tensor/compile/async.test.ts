import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile } from '../../../src/tensor/index.js';

/** Some milliseconds of work. */
const busy = (x: Tensor): Tensor => {
  let y = x;
  for (let i = 0; i < 12; i++) y = y.matmul(x).tanh();
  return y;
};
const square = (seed = 1): NDArray =>
  array(
    Float32Array.from({ length: 300 * 300 }, (_, i) => Math.sin(seed + i) / 17),
    { shape: [300, 300] },
  );

describe('asynchronous runs', () => {
  it('leave the event loop free', async () => {
    const f = compile(busy);
    const x = square();
    await f.run(x);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for (let i = 0; i < 10; i++) await f.run(x);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
    f.dispose();
  });

  it('overlap where they only read the same memory, also of one function', async () => {
    const f = compile(busy);
    const x = square();
    const wanted = f.runSync(x).toNumbers();
    const results = await Promise.all([f.run(x), f.run(x), f.run(square(1))]);
    for (const r of results) expect(r.toNumbers()).toEqual(wanted);
    f.dispose();
  });

  it('may not use memory that an unfinished run writes', async () => {
    const step = compile((w: Tensor) => w.add(busy(w)), { donate: [0], name: 'step' });
    const read = compile((w: Tensor) => w.sum());
    const w = square();
    expect(step.inPlaceOutputs(w)).toEqual([0]);
    const pending = step.run(w);
    expect(() => read.runSync(w)).toThrow('the array f32[300, 300] is being written by a run that has not finished: await it first');
    await expect(read.run(w)).rejects.toThrow(/is being written/);
    await expect(step.run(w)).rejects.toThrow(/has not finished/);
    const next = await pending;
    expect(Number.isFinite(read.runSync(next).item())).toBe(true);
    await expect(read.run(w)).rejects.toThrow(/was donated to step/);
    step.dispose();
    read.dispose();
  });

  it('may not write memory that an unfinished run reads', async () => {
    const slow = compile(busy);
    const update = compile((w: Tensor) => w.mul(0.5), { donate: [0] });
    const w = square();
    const pending = slow.run(w);
    expect(() => update.runSync(w)).toThrow(/the memory of f32\[300, 300\] is still in use by a run that has not finished/);
    await expect(update.run(w)).rejects.toThrow(/is still in use/);
    await pending;
    expect(update.runSync(w).toNumbers()[1]).toBeCloseTo(Math.sin(2) / 34, 6);
    slow.dispose();
    update.dispose();
  });

  it('may read what a double-buffered step was given, but no second step may take it', async () => {
    const step = compile((w: Tensor) => busy(w).matmul(w), { donate: [0], name: 'step' });
    const read = compile((w: Tensor) => w.abs().max());
    const w = square();
    expect(step.inPlaceOutputs(w)).toEqual([]);
    const pending = step.run(w);
    expect(read.runSync(w).item()).toBeGreaterThan(0);
    await expect(step.run(w)).rejects.toThrow(/was donated to a run that has not finished: use that run's result instead/);
    let state = await pending;
    for (let i = 0; i < 3; i++) state = await step.run(state);
    expect(state.toNumbers().every(Number.isFinite)).toBe(true);
    step.dispose();
    read.dispose();
  });

  it('release what they held when they fail', async () => {
    const f = compile((w: Tensor, ids: Tensor) => w.add(busy(w)).mul(w.gather(ids).sum()), { donate: [0] });
    const w = square();
    await expect(f.run(w, array([999], { dtype: 'i32' }))).rejects.toThrow(/out of data bounds/);
    const result = await f.run(w, array([0], { dtype: 'i32' }));
    expect(w.isDisposed).toBe(true);
    expect(result.isDisposed).toBe(false);
    f.dispose();
  });
});
