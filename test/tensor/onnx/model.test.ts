import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type NodeProto } from 'onnx-buf';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { array, full } from '../../../src/tensor/array.js';
import { sym } from '../../../src/tensor/dim.js';
import { apply, Graph, inputTensor, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import { isNative, type LoweredModel, lower, parseNodeName } from '../../../src/tensor/onnx/index.js';
import { expandAll } from '../../../src/tensor/passes/expand.js';
import { runModel } from './ortRun.js';

const decoded = (m: LoweredModel) => fromBinary(ModelProtoSchema, m.model);
const nodesOf = (m: LoweredModel): NodeProto[] => decoded(m).graph?.node ?? [];
const opsOf = (m: LoweredModel): string[] => nodesOf(m).map((n) => n.opType);
const f32 = (name: string, shape: readonly number[]): Tensor => inputTensor(name, shape, 'f32');

describe('ports', () => {
  it('stand in the order of the graph: outputs may be inputs, constants or repeated, inputs may be unread or share a name', async () => {
    const [x, y, unread] = [f32('x', [2]), f32('x', [2]), f32('n0_add', [3])];
    const sum = ir.add(x, y);
    const model = lower(new Graph([y, unread, x], [x, sum, ir.scalar(3), sum, apply('stopGradient', [x], {})]), { target: 'cpu' });
    expect(model.inputs.map((p) => p.name)).toEqual(['x', 'in_n0_add', 'x_1']);
    expect(model.inputIndices).toEqual([0, 1, 2]);
    expect(new Set(model.outputs.map((p) => p.name)).size).toBe(5);
    const out = await runModel(model, [array([1, 2]), array([0, 0, 0]), array([10, 20])]);
    expect(out.map((o) => o.toNested())).toEqual([[10, 20], [11, 22], 3, [11, 22], [10, 20]]);
  });

  it('take given names for the outputs, which bodies that read them follow', async () => {
    const [xs, c] = [f32('xs', [2]), f32('c', [2])];
    const next = ir.add(xs, ir.scalar(1));
    const [k, carry, x] = [f32('k', [2]), f32('carry', [2]), f32('x', [])];
    const body = new Graph([k, carry, x], [ir.add(carry, ir.mul(k, x))]);
    const scan = makeNode('scan', [next, c, xs], { body, numConsts: 1, numCarries: 1, reverse: false });
    const model = lower(new Graph([xs, c], [next, scan.out()]), { target: 'generic', outputNames: ['logits', 'total'] });
    expect(model.outputs.map((p) => p.name)).toEqual(['logits', 'total']);
    const [logits, total] = await runModel(model, [array([1, 2]), array([0, 10])]);
    expect(logits?.toNumbers()).toEqual([2, 3]);
    expect(total?.toNumbers()).toEqual([2 * 3, 10 + 3 * 3]);
    expect(() => lower(new Graph([xs], [next]), { target: 'cpu', outputNames: ['xs'] })).toThrow(/"xs" is the name of an argument/);
    expect(() => lower(new Graph([xs], [next]), { target: 'cpu', outputNames: [] })).toThrow(/1 distinct names/);
  });
});

describe('nodes', () => {
  it('are named after the IR node, in bodies too', () => {
    const x = f32('x', [3, 4]);
    const mean = ir.meanLast(x);
    const model = lower(new Graph([x], [mean]), { target: 'cpu' });
    expect(parseNodeName(nodesOf(model).at(-1)?.name ?? '')).toEqual({ id: mean.node.id, op: 'div' });
    expect(parseNodeName('n7_scan/n12_matmul.2')).toEqual({ id: 12, op: 'matmul' });
    expect(parseNodeName('dim.0')).toBeUndefined();
    expect(parseNodeName('my_n1_model')).toBeUndefined();
  });

  it('share constants by content', () => {
    const x = f32('x', [2]);
    const y = ir.mul(ir.add(x, ir.scalar(0.5)), ir.scalar(0.5));
    expect(decoded(lower(new Graph([x], [y]), { target: 'cpu' })).graph?.initializer.length).toBe(1);
  });

  it('keep -0 and 0 apart', async () => {
    const out = await runModel(lower(new Graph([], [ir.scalar(0), ir.scalar(-0)]), { target: 'cpu' }), []);
    expect(out.map((o) => 1 / (o.item() as number))).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });

  it('make a sum of all squares one node, unless something else reads the squares', () => {
    const x = f32('x', [2, 3]);
    const squares = ir.mul(x, x);
    const total = ir.sum(squares, [0, 1]);
    expect(opsOf(lower(new Graph([x], [total]), { target: 'cpu' }))).toEqual(['ReduceSumSquare']);
    expect(opsOf(lower(new Graph([x], [total, squares]), { target: 'cpu' }))).toEqual(['Mul', 'ReduceSum']);
    expect(opsOf(lower(new Graph([x], [ir.sum(squares, [0])]), { target: 'cpu' }))).toEqual(['Mul', 'ReduceSum']);
  });

  it('never are ScatterND, whose add loses updates', () => {
    const [ids, u] = [inputTensor('i', [4], 'i32'), f32('u', [4, 2])];
    const model = lower(new Graph([ids, u], [ir.scatterAdd(ids, u, 0, 9)]), { target: 'cpu' });
    expect(opsOf(model)).toContain('ScatterElements');
    expect(opsOf(model)).not.toContain('ScatterND');
  });

  it('transpose inside of the product where the target can', () => {
    const [x, w] = [f32('x', [2, 3, 4]), f32('w', [5, 4])];
    const y = (target: 'cpu' | 'webgpu') => opsOf(lower(new Graph([x, w], [ir.matmul(x, w, { transB: true })]), { target }));
    expect(y('cpu')).toEqual(['FusedMatMul']);
    expect(y('webgpu')).toEqual(['Reshape', 'Gemm', 'Reshape']);
  });

  it('compute a symbolic size once', () => {
    const B = sym('B');
    const x = inputTensor('x', [B, 2], 'f32');
    const three = [1, 2, 3].map((n) => ir.broadcastTo(ir.scalar(n), [B, n]));
    const ops = opsOf(lower(new Graph([x], three), { target: 'cpu' }));
    expect(ops.filter((op) => op === 'Shape').length).toBe(1);
  });

  it('refuse calls and unexpanded composites, naming them', () => {
    const x = f32('x', [2]);
    expect(() => lower(new Graph([x], [apply('silu', [x], {})]), { target: 'cpu' })).toThrow(
      /internal: silu.*expand it for the target "cpu"/,
    );
    const call = makeNode('call', [x], { body: new Graph([x], [ir.neg(x)]), label: 'f', concurrent: false });
    expect(() => lower(new Graph([x], call.outs), { target: 'cpu' })).toThrow(/internal: call/);
  });
});

describe('constants outside of the model', () => {
  it('are declared external, and found beside a saved file', async () => {
    const big = full([64, 8], 0.5);
    const [x, w] = [f32('x', [2, 8]), f32('w', [8, 3])];
    const y = ir.add(
      ir.matmul(ir.matmul(x, ir.constantOf(big), { transB: true }).node.out(), ir.broadcastTo(ir.scalar(1), [64, 1])),
      ir.scalar(1),
    );
    const z = ir.matmul(x, w);
    const model = lower(new Graph([w, x], [y, z]), { target: 'cpu', externalBytes: 1024, externalInitializers: new Map([[w, 'weights']]) });
    expect(model.inputs.map((p) => p.name)).toEqual(['x']);
    expect(model.inputIndices).toEqual([1]);
    expect([...model.initializers.values()]).toEqual([big]);
    expect(model.model.length).toBeLessThan(1500);
    const folder = mkdtempSync(join(tmpdir(), 'vitro-'));
    try {
      writeFileSync(join(folder, 'weights'), Buffer.from(Float32Array.from({ length: 24 }, (_, i) => i).buffer));
      for (const [name, value] of model.initializers) writeFileSync(join(folder, name), value.data as Float32Array);
      writeFileSync(join(folder, 'model.onnx'), model.model);
      const session = await InferenceSession.create(join(folder, 'model.onnx'));
      const out = await session.run({ x: new OrtTensor('float32', new Float32Array(16).fill(1), [2, 8]) });
      const [a, b] = model.outputs.map((p) => Array.from((out[p.name] as OrtTensor).data as Float32Array));
      // rows of eight ones times 0.5 are 4, summed over 64 columns and 1 added
      expect(a).toEqual([257, 257]);
      expect(b).toEqual([84, 92, 100, 84, 92, 100]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('need fixed sizes', () => {
    const x = inputTensor('x', [sym('B')], 'f32');
    const act = () => lower(new Graph([x], [ir.neg(x)]), { target: 'cpu', externalInitializers: new Map([[x, 'w']]) });
    expect(act).toThrow(/"w" cannot be an initializer.*\[B\].*leave it an argument/s);
  });
});

describe('standard files', () => {
  it('hold only operators of the ONNX standard', () => {
    const [x, w] = [f32('x', [2, 8]), f32('w', [8])];
    const norm = makeNode('rmsNorm', [x, w], { eps: 1e-5 });
    const outputs = [norm.out(), ir.matmul(x, x, { transB: true, alpha: 0.5 }), makeNode('layerNorm', [x, w, w], { eps: 1e-5 }).out()];
    expect(() => lower(new Graph([x, w], outputs), { target: 'cpu', standardOnly: true })).toThrow(/not in the ONNX standard/);
    const plain = lower(new Graph([x, w], expandAll(outputs, 'generic', isNative)), { target: 'generic', standardOnly: true });
    expect(decoded(plain).opsetImport.map((o) => o.domain)).toEqual(['']);
    expect(opsOf(plain)).toContain('LayerNormalization');
  });
});
