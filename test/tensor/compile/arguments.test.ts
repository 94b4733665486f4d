import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { dimMul, sym } from '../../../src/tensor/dim.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile, grad, spec } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';

const vector = (...xs: number[]): NDArray => array(Float32Array.from(xs));
const fails = (f: () => unknown): string => {
  try {
    f();
  } catch (e) {
    return (e as Error).message;
  }
  throw new Error('no error');
};

describe('arguments and results', () => {
  it('are nested records, lists, numbers and typed arrays; absent fields stay absent', () => {
    const f = compile((p: { w: Tensor; layers: Tensor[]; bias?: Tensor | null }, scale: Tensor) => ({
      sum: p.layers.reduce((a, b) => a.add(b), p.w).mul(scale),
      kept: [p.w, { bias: p.bias }],
      nothing: null,
      three: 3,
      table: vector(1, 2),
    }));
    const out = f.runSync({ w: vector(1, 2), layers: [vector(3, 4), Float32Array.of(5, 6)], bias: null }, 2);
    expect(out.sum.toNumbers()).toEqual([18, 24]);
    expect((out.kept[0] as NDArray).toNumbers()).toEqual([1, 2]);
    expect(out.kept[1]).toEqual({ bias: undefined });
    expect(out.nothing).toBeNull();
    expect((out.three as unknown as NDArray).item()).toBe(3);
    expect((out.table as unknown as NDArray).toNumbers()).toEqual([1, 2]);
    f.dispose();
  });

  it('may be of every dtype', () => {
    const f = compile((...xs: Tensor[]) => xs.map((x) => x.reshape([2, 1])));
    const inputs = (['f32', 'f16', 'i32', 'i64', 'u32', 'u8', 'bool'] as const).map((dtype) => array([1, 0], { dtype }));
    const outs = f.runSync(...inputs);
    expect(outs.map((a) => a.dtype)).toEqual(inputs.map((a) => a.dtype));
    for (const a of outs)
      expect([a.shape, a.toNumbers()]).toEqual([
        [2, 1],
        [1, 0],
      ]);
    f.dispose();
  });

  it('are traced once for each structure and shape', () => {
    let traces = 0;
    const f = compile((x: { a: Tensor; b?: Tensor }) => {
      traces++;
      return x.b ? x.a.add(x.b) : x.a.neg();
    });
    expect(f.runSync({ a: vector(1) }).toNumbers()).toEqual([-1]);
    expect(f.runSync({ a: vector(2) }).toNumbers()).toEqual([-2]);
    expect(f.runSync({ a: vector(2, 3) }).toNumbers()).toEqual([-2, -3]);
    expect(f.runSync({ a: vector(1), b: vector(5) }).toNumbers()).toEqual([6]);
    expect(f.runSync({ b: vector(7), a: vector(1) }).toNumbers()).toEqual([8]);
    expect(f.runSync({ a: vector(4) }).toNumbers()).toEqual([-4]);
    expect(traces).toBe(3);
    f.dispose();
  });

  it('never ignores a field', () => {
    // undefined fields count as absent, and must not make room for an unknown one
    const f = compile((x: { a: Tensor; b?: Tensor; c?: Tensor }) => (x.c ? x.a.add(x.c) : x.a));
    expect(f.runSync({ a: vector(1), b: undefined }).toNumbers()).toEqual([1]);
    expect(f.runSync({ a: vector(1), c: vector(2) }).toNumbers()).toEqual([3]);
    f.dispose();
  });

  it('returns one tensor as several results, and an argument as a result', () => {
    const f = compile((x: Tensor) => {
      const y = x.mul(2);
      return [y, y, x, x, ops.scalar(1)];
    });
    const x = vector(1, 2);
    const outs = f.runSync(x);
    expect(outs.map((a) => a.toNumbers())).toEqual([[2, 4], [2, 4], [1, 2], [1, 2], [1]]);
    expect(new Set([x, ...outs].map((a) => a.data)).size).toBe(6);
    f.dispose();
  });
});

describe('declared arguments', () => {
  const f = () =>
    compile((x: { ids: Tensor; w: Tensor }, scale: Tensor) => x.w.gather(x.ids).mul(scale), {
      name: 'lookup',
      args: [{ ids: spec('i32', ['B']), w: spec('f32', [3, 2]) }],
    });
  const w = array([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const ids = (...xs: number[]): NDArray => array(xs, { dtype: 'i32' });

  it('serve every call and warm-up, with undeclared ones taken from the call', async () => {
    const lookup = f();
    await lookup.warmup(undefined, 1);
    expect((await lookup.run({ ids: ids(2), w }, 2)).toNested()).toEqual([[10, 12]]);
    expect(lookup.runSync({ ids: ids(0, 1), w }, 1).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(lookup.print(undefined, 1)).toContain('i32[B]');
    lookup.dispose();
  });

  it('name what does not fit', () => {
    const lookup = f();
    const bad = (x: unknown): string => fails(() => lookup.runSync(x as never, 1));
    expect(bad({ ids: vector(1), w })).toBe('lookup: arg0.ids is f32, expected i32');
    expect(bad({ ids: array([[1]], { dtype: 'i32' }), w })).toMatch(/lookup: arg0.ids has shape \[1,? ?1\], expected \[B\]/);
    expect(bad({ ids: ids(1), w: vector(1) })).toMatch(/arg0.w has shape \[1\], expected \[3, 2\]/);
    expect(bad({ ids: ids(1) })).toBe('lookup: arg0.w is missing');
    expect(bad(undefined)).toMatch(/lookup: arg0 should be a nested record/);
    expect(bad(vector(1))).toMatch(/arg0 should be a nested record/);
    expect(bad({ ids: ids(1), w, lr: 0.1 })).toBe('lookup: arg0.lr is not an input of this function');
    // after an error, a good call works
    expect(lookup.runSync({ ids: ids(1), w }, 1).toNested()).toEqual([[3, 4]]);
    lookup.dispose();
  });

  it('are checked themselves', () => {
    expect(fails(() => spec('f32', [-1]))).toMatch(/size -1/);
    expect(fails(() => spec('f32', [Number.NaN]))).toMatch(/size NaN/);
    expect(fails(() => spec('f32', ['2B']))).toMatch(/"2B" cannot name a dimension/);
    expect(fails(() => spec('f64' as never, []))).toMatch(/unknown dtype "f64"; known: f32/);
  });
});

describe('bad input', () => {
  it('functions, strings and nulls are no arrays', () => {
    const f = compile((x: { a: Tensor }) => x.a, { name: 'id' });
    for (const [value, what] of [
      [() => 1, 'a function'],
      ['text', 'a string'],
      [true, 'a boolean'],
      [Symbol('s'), 'a symbol'],
    ] as const)
      expect(fails(() => f.runSync({ a: value as never }))).toMatch(new RegExp(`argument arg0.a is ${what}; .*close over other settings`));
    f.dispose();
  });

  it('disposed arrays', () => {
    const f = compile((x: Tensor) => x.add(1));
    const x = vector(1);
    x.dispose();
    expect(fails(() => f.runSync(x))).toMatch(/array f32\[1\] was used after dispose/);
    f.dispose();
  });

  it('a constant that was given away since', () => {
    const table = vector(1, 2);
    const f = compile((x: Tensor) => x.add(table), { name: 'shifted' });
    expect(f.runSync(vector(1, 1)).toNumbers()).toEqual([2, 3]);
    table.dispose();
    expect(fails(() => f.runSync(vector(1, 1)))).toMatch(/shifted: a constant f32\[2\] that was compiled in has been disposed or donated/);
    f.dispose();
  });

  it('what the function itself returns', () => {
    expect(fails(() => compile(() => 'text', { name: 'g' }).runSync())).toMatch(
      /g: a traced function returns tensors in nested records, found string/,
    );
    expect(fails(() => compile(async (x: Tensor) => x, { name: 'g' }).runSync(vector(1)))).toMatch(/g: .* must not be async/);
    expect(fails(() => compile(() => ({}), { name: 'g' }).runSync())).toMatch(/g: the function returned no tensor/);
    let leaked: Tensor | undefined;
    compile((x: Tensor) => {
      leaked = x;
      return x;
    }).runSync(vector(1));
    expect(fails(() => compile((x: Tensor) => x.add(leaked as Tensor), { name: 'g' }).runSync(vector(1)))).toMatch(
      /g: the result depends on a tensor of another trace \(\[1\]\); pass it as an argument/,
    );
    expect(fails(() => compile((x: Tensor) => x.add(vector(1, 2, 3)), { name: 'g' }).runSync(vector(1, 2)))).toMatch(
      /add: .*\[2\].*\[3\][\s\S]*arguments\.test\.ts/,
    );
  });

  it('a backward rule that holds on to a tensor of a checkpoint', () => {
    const f = compile((x: Tensor) => {
      const y = ops.checkpoint((t: Tensor) => {
        const e = t.exp();
        return ops
          .customVjp(
            (v) => ({ out: (v as Tensor).mul(e) }),
            ([g]) => [(g as Tensor).mul(e)],
          )(t)
          .sum();
      })(x);
      return grad(y, x);
    });
    expect(fails(() => f.runSync(vector(1)))).toMatch(/tensor of another trace[\s\S]*customVjp[\s\S]*saved/);
  });

  it('a size that no argument determines', () => {
    const f = compile((x: Tensor) => ops.zeros([sym('N')]).add(x), { name: 'sized' });
    expect(fails(() => f.runSync(1))).toMatch(/sized: no argument determines the size "N" of a result/);
    const g = compile((x: Tensor) => x.reshape([sym('N'), 2]), { name: 'halves', args: [spec('f32', [dimMul(2, sym('N'))])] });
    expect(g.runSync(vector(1, 2, 3, 4)).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(fails(() => g.runSync(vector(1, 2, 3)))).toMatch(/arg0 has shape \[3\], expected \[2\*N\]/);
    const interpreted = compile(g.fn, { ...g.options, backend: 'reference' });
    expect(interpreted.runSync(vector(1, 2, 3, 4)).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it('sizes that contradict each other, wherever they stand', () => {
    const [b, t] = [sym('B'), sym('T')];
    const f = compile((flat: Tensor, x: Tensor) => flat.reshape([b, t]).add(x), {
      args: [spec('f32', [dimMul(b, t)]), spec('f32', ['B', 'T'])],
    });
    expect(f.runSync(vector(1, 2), array([[1], [2]])).toNested()).toEqual([[2], [4]]);
    expect(fails(() => f.runSync(vector(1, 2, 3), array([[1], [2]])))).toMatch(/arg0 has shape \[3\], expected \[B\*T\]/);
    const g = compile((x: Tensor, y: Tensor) => x.add(y), { args: [spec('f32', ['B']), spec('f32', ['B'])] });
    expect(fails(() => g.runSync(vector(1, 2), vector(1)))).toMatch(/arg1 has shape \[1\], expected \[B\]/);
    f.dispose();
    g.dispose();
  });

  it('an index outside of a table', () => {
    const f = compile((ids: Tensor, t: Tensor) => t.gather(ids));
    expect(fails(() => f.runSync(array([5], { dtype: 'i32' }), vector(1, 2)))).toMatch(/indices element out of data bounds/);
    expect(f.runSync(array([1], { dtype: 'i32' }), vector(1, 2)).toNumbers()).toEqual([2]);
    const g = compile((ids: Tensor, t: Tensor) => t.gather(ids), { backend: 'reference' });
    expect(fails(() => g.runSync(array([5], { dtype: 'i32' }), vector(1, 2)))).toMatch(/gather: index 5/);
  });

  it('a backend or device that is not there', () => {
    expect(fails(() => compile((x: Tensor) => x, { backend: 'abacus' as never }).runSync(1))).toMatch(/abacus/);
    expect(fails(() => compile((x: Tensor) => x, { device: 'cuda' }).runSync(1))).toMatch(/cuda/);
  });
});
