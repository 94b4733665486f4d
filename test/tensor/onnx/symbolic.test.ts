import { describe, expect, it } from 'vitest';
import { encode, NDArray } from '../../../src/tensor/array.js';
import { type Dim, dimAdd, dimMul, evalShape, type Shape, sym } from '../../../src/tensor/dim.js';
import type { DType } from '../../../src/tensor/dtype.js';
import { apply, Graph, inputTensor, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import { lower } from '../../../src/tensor/onnx/index.js';
import { evaluate, fromNDArray } from '../../../src/tensor/reference/index.js';
import { runModel } from './ortRun.js';

const [B, T] = [sym('B'), sym('T')];
const f32 = (name: string, shape: Shape): Tensor => inputTensor(name, shape, 'f32');

/** Deterministic values in (-1, 1), or small non-negative integers. */
function values(dtype: DType, shape: readonly number[], salt: number): NDArray {
  const n = shape.reduce((a, b) => a * b, 1);
  const float = dtype === 'f32';
  const value = (_: unknown, i: number): number => (float ? Math.sin(i * 1.7 + salt) : (i * 7 + salt) % 3);
  return new NDArray(dtype, shape, encode(dtype, Array.from({ length: n }, value)));
}

/** Lowers once, then runs at several sizes and compares with the reference. */
async function check(inputs: readonly Tensor[], outputs: readonly Tensor[], sizes: readonly (readonly [number, number])[]): Promise<void> {
  const graph = new Graph(inputs, outputs);
  for (const target of ['cpu', 'generic'] as const) {
    const model = lower(graph, { target });
    for (const [b, t] of sizes) {
      const symbols = new Map([
        ['B', b],
        ['T', t],
      ]);
      const given = inputs.map((x, i) => values(x.dtype, evalShape(x.shape, symbols), i));
      const got = await runModel(model, given);
      for (const [i, want] of evaluate(graph, given.map(fromNDArray), symbols).entries()) {
        expect(got[i]?.shape, `${outputs[i]?.node} at B=${b}, T=${t}`).toEqual(want.shape);
        const numbers = got[i]?.toNumbers() ?? [];
        for (const [j, x] of want.data.entries()) expect(numbers[j]).toBeCloseTo(x, 4);
      }
    }
  }
}

const sizes = [
  [2, 3],
  [1, 1],
  [3, 4],
] as const;
const withEmpty = [...sizes, [0, 2]] as const;

describe('symbolic sizes: one model, any size', () => {
  it('reshapes', async () => {
    const x = f32('x', [B, T, 6]);
    const shapes: Shape[] = [
      [B, T, 2, 3],
      [dimMul(B, T), 6],
      [dimMul(dimMul(B, T), 6)],
      [T, B, 6],
      [6, dimMul(B, T)],
      [T, dimMul(B, 6)],
      [B, dimMul(T, 2), 3],
    ];
    await check(
      [x],
      shapes.map((s) => ir.reshape(x, s)),
      sizes,
    );
    await check([x], [ir.reshape(x, [B, T, 2, 3]), ir.reshape(x, [dimMul(B, T), 6]), ir.reshape(x, [T, B, 6])], withEmpty);
  });

  it('broadcasts and fills', async () => {
    const x = f32('x', [B, 1, T]);
    const [two, three]: [Dim, Dim] = [dimMul(B, 2), dimAdd(T, 3)];
    const outputs = [
      ir.broadcastTo(x, [B, 4, T]),
      ir.broadcastTo(x, [two, B, T, T]),
      ir.broadcastTo(ir.scalar(1.5), [two, three]),
      ir.iota([B, three], 1),
      ir.iota([T, 2], 0, 'f32'),
      apply('dimValue', [], { dim: dimAdd(dimMul(dimMul(B, T), 3), 1), dtype: 'i32' }),
      apply('dimValue', [], { dim: T, dtype: 'f32' }),
    ];
    await check([x], outputs, withEmpty);
  });

  it('slices, pads, joins and reduces', async () => {
    const x = f32('x', [dimAdd(T, 2), B]);
    const grown = apply('pad', [x], { low: [1, 0], high: [0, 2], value: 7 });
    const outputs = [
      ir.sliceAxis(x, 0, 1, T),
      ir.sliceAxis(x, 0, T, dimAdd(T, 2)),
      apply('slice', [x], { starts: [dimAdd(T, 1), 0], limits: [-1, B], steps: [-1, 1] }),
      grown,
      ir.concat([x, grown, x].slice(0, 1).concat([x]), 0),
      ir.sum(x, [0, 1], false),
      ir.softmax(x),
    ];
    await check([x], outputs, sizes);
  });

  it('contracts and indexes', async () => {
    const [x, w] = [f32('x', [B, T, 4]), f32('w', [5, 4])];
    const ids = inputTensor('ids', [B, T], 'i32');
    const outputs = [
      ir.matmul(x, w, { transB: true, alpha: 0.5 }),
      ir.matmul(x, x, { transA: true }),
      ir.gather(w, ids),
      ir.scatterAdd(ids, x, 0, 5),
    ];
    await check([x, w, ids], outputs, withEmpty);
  });

  it('draws random bits for a symbolic count', async () => {
    const key = inputTensor('key', [2], 'u32');
    const x = f32('x', [B, T]);
    await check([key, x], [apply('threefry', [key], { shape: [B, T, 3] }), apply('threefry', [key], { shape: [dimMul(T, 2)] })], withEmpty);
  });

  it('scans over a symbolic length with symbolic state', async () => {
    const [carry, x] = [f32('c', [B, 2]), f32('x', [B, 2])];
    const flat = ir.reshape(x, [dimMul(B, 2)]);
    const next = ir.add(ir.mul(carry, ir.dimScalar(T)), ir.reshape(flat, [B, 2]));
    const body = new Graph([carry, x], [next, ir.broadcastTo(ir.sum(x, [0], true), [B, 2])]);
    const inputs = [f32('c0', [B, 2]), f32('xs', [T, B, 2])];
    const scan = makeNode('scan', inputs, { body, numConsts: 0, numCarries: 1, reverse: true });
    await check(inputs, scan.outs, sizes);
  });

  it('solves for a symbol that no axis shows plainly', async () => {
    const x = f32('x', [dimAdd(dimMul(B, 256), 3)]);
    await check([x], [ir.iota([B], 0), ir.iota([dimMul(B, 5)], 0)], sizes);
    const y = f32('y', [dimMul(B, T), B]);
    await check([y], [ir.iota([T], 0)], sizes);
  });

  it('says which symbol cannot be computed', () => {
    const x = f32('x', [dimMul(B, T)]);
    const graph = new Graph([x], [ir.iota([T], 0)]);
    expect(() => lower(graph, { target: 'cpu' })).toThrow(/size "T" cannot be computed.*as an argument/s);
  });
});
