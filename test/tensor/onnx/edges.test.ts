import { describe, expect, it } from 'vitest';
import { array, NDArray } from '../../../src/tensor/array.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../../src/tensor/dtype.js';
import { apply, Graph, inputTensor, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import { lower } from '../../../src/tensor/onnx/index.js';
import { threefryBits } from '../../../src/tensor/random/threefry.js';
import { runGraph, runModel } from './ortRun.js';

const f32 = (name: string, shape: readonly number[]): Tensor => inputTensor(name, shape, 'f32');
const i32 = (values: readonly number[]): NDArray => array(values, { dtype: 'i32' });

/** Result of one op on given arrays. */
async function apply1(make: (...xs: Tensor[]) => Tensor, ...values: NDArray[]): Promise<number[]> {
  const inputs = values.map((v, i) => inputTensor(`x${i}`, v.shape, v.dtype));
  const [out] = await runGraph(new Graph(inputs, [make(...inputs)]), values);
  return out?.toNumbers() ?? [];
}

describe('threefry', () => {
  const bits = (key: readonly [number, number], n: number): Promise<number[]> =>
    apply1((k) => apply('threefry', [k], { shape: [n] }), new NDArray('u32', [2], Uint32Array.of(...key)));

  it('gives the known answer of Random123 (kat_vectors, threefry2x32 20 rounds, zero key and counter)', async () => {
    expect(await bits([0, 0], 2)).toEqual([0x6b200159, 0x99ba4efe]);
  });

  it('agrees with the host generator past the size of constant counters', async () => {
    const key = [0x13198a2e, 0xffffffff] as const;
    expect(await bits(key, 20_001)).toEqual(Array.from(threefryBits(key, 20_001)));
  });
});

describe('integers', () => {
  const extremes = i32([-(2 ** 31), 2 ** 31 - 1, 7, -7]);

  it('wrap', async () => {
    expect(await apply1((x) => ir.add(x, ir.scalar(1, 'i32')), extremes)).toEqual([-(2 ** 31) + 1, -(2 ** 31), 8, -6]);
    expect(await apply1((x) => ir.mul(x, x), extremes)).toEqual([0, 1, 49, 49]);
  });

  it('divide without ending the process where the quotient overflows', async () => {
    expect(await apply1(ir.div, extremes, i32([-1, -1, -2, 2]))).toEqual([-(2 ** 31), -(2 ** 31) + 1, -3, -3]);
    expect(await apply1(ir.mod, extremes, i32([-1, -1, -2, 2]))).toEqual([0, 0, -1, 1]);
  });

  it('report a division by zero', async () => {
    await expect(apply1(ir.div, extremes, i32([1, 0, 1, 1]))).rejects.toThrow(/division by zero/);
    await expect(apply1(ir.mod, extremes, i32([1, 0, 1, 1]))).rejects.toThrow(/modulo by zero/);
  });
});

describe('dtypes for storage', () => {
  const xs = [1, -2.5, 3.00390625, 65504, 1e-7, 0.1, 1 / 3, -0];

  it('f16 rounds to nearest even', async () => {
    expect(await apply1((x) => ir.cast(ir.cast(x, 'f16'), 'f32'), array(xs))).toEqual(xs.map((x) => f16ToF32(f32ToF16(Math.fround(x)))));
  });

  it('bf16 rounds to nearest even, and moves', async () => {
    const stored = (x: Tensor): Tensor => ir.cast(x, 'bf16');
    const want = xs.map((x) => bf16ToF32(f32ToBf16(Math.fround(x))));
    expect(await apply1((x) => ir.cast(stored(x), 'f32'), array(xs))).toEqual(want);
    const moved = (x: Tensor): Tensor => {
      const wide = ir.padAxis(ir.broadcastTo(ir.reshape(stored(x), [1, 8]), [2, 8]), 1, 1, 0);
      const picked = ir.gather(ir.transpose(ir.concat([wide, wide], 1), [1, 0]), ir.scalar(1, 'i32'));
      return ir.cast(ir.where(ir.lt(x.rank === 1 ? ir.scalar(0) : x, ir.scalar(1)), picked, picked), 'f32');
    };
    expect(await apply1(moved, array(xs))).toEqual([want[0], want[0]]);
  });
});

describe('indices', () => {
  it('outside of the array are an error', async () => {
    await expect(apply1((x, i) => ir.gather(x, i), array([1, 2, 3]), i32([3]))).rejects.toThrow(/out of (?:data )?bounds/);
    await expect(apply1((i, u) => ir.scatterAdd(i, u, 0, 3), i32([5]), array([1]))).rejects.toThrow(/out of (?:data )?bounds|Indices/i);
  });

  it('that repeat add up alike for every number of threads, in every run', async () => {
    const [rows, width, size] = [512, 64, 5];
    const ids = inputTensor('ids', [rows], 'i32');
    const updates = f32('updates', [rows, width]);
    const model = lower(new Graph([ids, updates], [ir.scatterAdd(ids, updates, 0, size)]), { target: 'cpu' });
    const given = [
      i32(Array.from({ length: rows }, (_, i) => (i * 7) % size)),
      new NDArray(
        'f32',
        [rows, width],
        Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i) * 10 ** (i % 7)),
      ),
    ];
    const results = new Set<string>();
    for (let run = 0; run < 12; run++) {
      const [out] = await runModel(model, given, { intraOpNumThreads: 1 + (run % 3) });
      results.add(JSON.stringify(out?.toNumbers()));
    }
    expect(results.size).toBe(1);
  });
});

describe('scan', () => {
  const body = (): Graph => {
    const [carry, x] = [f32('c', [2]), f32('x', [2])];
    return new Graph([carry, x], [ir.add(carry, x), ir.mul(carry, x)]);
  };

  it('of no steps returns the carry', async () => {
    const inputs = [f32('c0', [2]), f32('xs', [0, 2])];
    const scan = makeNode('scan', inputs, { body: body(), numConsts: 0, numCarries: 1, reverse: false });
    const [carry, ys] = await runGraph(new Graph(inputs, scan.outs), [array([1, 2]), new NDArray('f32', [0, 2], new Float32Array(0))]);
    expect(carry?.toNumbers()).toEqual([1, 2]);
    expect(ys?.shape).toEqual([0, 2]);
  });

  it('nests, sees outer values, and twice uses one body', async () => {
    const inputs = [f32('c0', [2]), f32('xs', [3, 2])];
    const inner = body();
    const scanOf = (c: Tensor, xs: Tensor): readonly Tensor[] =>
      makeNode('scan', [c, xs], { body: inner, numConsts: 0, numCarries: 1, reverse: false }).outs;
    // the outer loop runs the inner one over its constant
    const [k, c, x] = [f32('k', [3, 2]), f32('c', [2]), f32('x', [2])];
    const step = scanOf(ir.mul(c, x), k)[0] as Tensor;
    const outer = new Graph([k, c, x], [step, step]);
    const nested = makeNode('scan', [inputs[1] as Tensor, inputs[0] as Tensor, inputs[1] as Tensor], {
      body: outer,
      numConsts: 1,
      numCarries: 1,
      reverse: true,
    });
    const twice = scanOf(scanOf(inputs[0] as Tensor, inputs[1] as Tensor)[0] as Tensor, inputs[1] as Tensor);
    const xs = [
      [1, 2],
      [3, -1],
      [0.5, 2],
    ];
    const [last, all, again] = await runGraph(new Graph(inputs, [...nested.outs, twice[0] as Tensor]), [array([1, 10]), array(xs)]);
    // c -> c * x + sum(xs), over xs from the last to the first; sum(xs) = [4.5, 3]
    const states = [[0.5 * 1 + 4.5, 2 * 10 + 3]];
    states.push([3 * 5 + 4.5, -1 * 23 + 3]);
    states.push([1 * 19.5 + 4.5, 2 * -20 + 3]);
    expect(last?.toNumbers()).toEqual(states[2]);
    expect(all?.toNested()).toEqual(states.toReversed());
    expect(again?.toNumbers()).toEqual([1 + 9, 10 + 6]);
  });
});
