import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { InPlaceAnalysis } from '../../../src/tensor/compile/inPlace.js';
import { Graph, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import { compile } from '../../../src/tensor/index.js';
import * as ir from '../../../src/tensor/ir.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arg } from '../ops/support.js';
import { relativeError } from './support.js';

/** A step that is given donated state and further arguments and returns the new state first. */
interface Scenario {
  readonly name: string;
  readonly step: (state: Tensor[], x: Tensor) => readonly [Tensor[], ...Tensor[]];
  /** positions of the state's results that may be written over the state's memory */
  readonly inPlace: readonly number[];
  readonly leaves?: number;
}

const scenarios: readonly Scenario[] = [
  { name: 'one writer, which is the only reader', step: ([a], x) => [[(a as Tensor).add(x)]], inPlace: [0] },
  { name: 'a reader whose result the writer needs', step: ([a], x) => [[(a as Tensor).sub((a as Tensor).sum().mul(x))]], inPlace: [0] },
  {
    name: 'a reader beside the writer',
    step: ([a], x) => [[(a as Tensor).add(x)], (a as Tensor).matmul(a as Tensor)],
    inPlace: [],
  },
  {
    name: 'a reader of the result only',
    step: ([a], x) => {
      const next = (a as Tensor).add(x);
      return [[next], next.matmul(next)];
    },
    inPlace: [0],
  },
  { name: 'a product of the state with itself', step: ([a]) => [[(a as Tensor).matmul(a as Tensor)]], inPlace: [] },
  { name: 'a product with the transposed state', step: ([a], x) => [[x.matmul((a as Tensor).transpose())]], inPlace: [] },
  { name: 'the transposed state', step: ([a]) => [[(a as Tensor).transpose()]], inPlace: [] },
  { name: 'a shifted state', step: ([a]) => [[(a as Tensor).roll(1, 0).add((a as Tensor).mul(0.5))]], inPlace: [0] },
  {
    name: 'two leaves that change places',
    step: ([a, b], x) => [[(b as Tensor).add(x), (a as Tensor).add(x)]],
    inPlace: [],
    leaves: 2,
  },
  {
    name: 'two leaves that read each other',
    step: ([a, b]) => [[(a as Tensor).add(b as Tensor), (b as Tensor).sub(a as Tensor)]],
    inPlace: [],
    leaves: 2,
  },
  {
    name: 'a leaf that is updated by the new value of the other',
    step: ([a, b], x) => {
      const next = (a as Tensor).add(x);
      return [[next, (b as Tensor).add(next)]];
    },
    inPlace: [0, 1],
    leaves: 2,
  },
  {
    name: 'a leaf that is updated by the old value of the other',
    step: ([a, b], x) => [[(a as Tensor).add(x), (b as Tensor).add(a as Tensor)]],
    inPlace: [1],
    leaves: 2,
  },
  {
    name: 'a view of the state that leaves as another result',
    step: ([a], x) => [[(a as Tensor).add(x)], (a as Tensor).reshape([16])],
    inPlace: [],
  },
  {
    name: 'a view of the state that something else reads',
    step: ([a], x) => [[(a as Tensor).mul(x)], (a as Tensor).reshape([2, 8]).sum({ axis: 0 })],
    inPlace: [],
  },
  {
    name: 'a view of the state in the writer',
    step: ([a]) => [[(a as Tensor).reshape([16]).tanh().reshape([4, 4])]],
    inPlace: [],
  },
  { name: 'the state itself', step: ([a], x) => [[a as Tensor], (a as Tensor).add(x)], inPlace: [] },
  {
    name: 'one value as two results',
    step: ([a, b], x) => {
      const next = (a as Tensor).add((b as Tensor).sum().mul(x));
      return [[next, next]];
    },
    inPlace: [0, 1],
    leaves: 2,
  },
  {
    name: 'a global norm before all updates',
    step: ([a, b], x) => {
      const [p, q] = [a as Tensor, b as Tensor];
      const norm = p.square().sum().add(q.square().sum()).sqrt();
      return [[p.sub(p.div(norm).mul(x)), q.sub(q.div(norm).mul(x))]];
    },
    inPlace: [0, 1],
    leaves: 2,
  },
  {
    name: 'rows written into a table',
    step: ([a], x) => [
      [ops.scatterAlong(a as Tensor, ops.constant(array([[1, 1, 1, 1]], { dtype: 'i32' })), x.slice({ 0: [0, 1] }), { axis: 0 })],
    ],
    inPlace: [0],
  },
  {
    name: 'rows of the table written into the table',
    step: ([a]) => [
      [
        ops.scatterAlong(a as Tensor, ops.constant(array([[1, 1, 1, 1]], { dtype: 'i32' })), (a as Tensor).slice({ 0: [0, 1] }).mul(2), {
          axis: 0,
        }),
      ],
    ],
    inPlace: [0],
  },
];

const filled = (seed: number): NDArray =>
  array(
    Float32Array.from({ length: 16 }, (_, i) => Math.sin(seed + i)),
    { shape: [4, 4] },
  );

describe('results in the memory of donated arguments', () => {
  it.each(scenarios.map((s) => [s.name, s] as const))('%s', (_, { step, inPlace, leaves = 1 }) => {
    const initial = (): NDArray[] => Array.from({ length: leaves }, (_, i) => filled(i));
    const make = (backend: 'ort' | 'reference', donate: number[]) => compile(step, { backend, donate });
    const [donating, plain] = [make('ort', [0]), make('reference', [])];
    expect(donating.inPlaceOutputs(initial(), filled(9))).toEqual(inPlace);
    let [state, expected] = [initial(), initial()];
    for (let i = 0; i < 5; i++) {
      const x = filled(10 + i);
      const buffers = state.map((a) => a.data);
      const [next, ...extra] = donating.runSync(state, x);
      const [wanted, ...others] = plain.runSync(expected, x);
      expect(relativeError([...next, ...extra], [...wanted, ...others])).toBeLessThan(1e-5);
      for (const [k, a] of next.entries()) expect(a.data === buffers[k]).toBe(inPlace.includes(k));
      [state, expected] = [next, wanted];
    }
    donating.dispose();
    plain.dispose();
  });
});

describe('the proof on graphs as the passes leave them', () => {
  const safe = (inputs: Tensor[], outputs: Tensor[], input: Tensor, output: Tensor): boolean =>
    new InPlaceAnalysis(new Graph(inputs, outputs)).isSafe(input, output);

  it('refuses other shapes and dtypes, constants, and views as writers', () => {
    const x = arg([4]);
    const [shorter, whole] = [ir.sliceAxis(x, 0, 0, 2), ir.cast(x, 'i32')];
    expect(safe([x], [shorter, whole], x, shorter)).toBe(false);
    expect(safe([x], [shorter, whole], x, whole)).toBe(false);
    expect(safe([x], [x], x, x)).toBe(false);
    const zero = ir.constantOf(filled(0));
    expect(safe([arg([4, 4])], [zero], arg([4, 4]), zero)).toBe(false);
    const twice = makeNode('reshape', [x], { shape: [4] }).out();
    expect(safe([x], [twice], x, twice)).toBe(false);
  });

  it('sees through views to the writer itself', () => {
    const [table, index] = [arg([4, 1]), arg([4, 1], 'i32')];
    const view = makeNode('reshape', [makeNode('reshape', [table], { shape: [4] }).out()], { shape: [4, 1] }).out();
    const scattered = ir.scatterAlong(table, index, view, 0, 'add');
    expect(safe([table, index], [scattered], table, scattered)).toBe(false);
    const sum = ir.add(table, view);
    expect(safe([table, index], [sum], table, sum)).toBe(true);
  });

  it('pairs each cache with its own new state', () => {
    const t = (...shape: number[]): Tensor => arg(shape);
    const [k, v] = [t(1, 1, 4, 8), t(1, 1, 4, 8)];
    const inputs = [t(1, 1, 8), t(1, 1, 8), t(1, 1, 8), k, v, arg([1], 'i32')];
    const { outs } = makeNode('cachedAttention', inputs, { heads: 1, kvHeads: 1, scale: 1 });
    const [out, newK, newV] = outs as [Tensor, Tensor, Tensor];
    expect(safe(inputs, [out, newK, newV], k, newK)).toBe(true);
    expect(safe(inputs, [out, newK, newV], v, newV)).toBe(true);
    expect(safe(inputs, [out, newK, newV], k, newV)).toBe(false);
    expect(safe(inputs, [out, newK, newV], v, newK)).toBe(false);
  });

  it('finds a reader far away', () => {
    const [x, y] = [arg([4]), arg([4])];
    const late = ir.mul(ir.tanh(ir.add(y, ir.scalar(1))), x);
    const writer = ir.add(x, y);
    expect(safe([x, y], [writer, late], x, writer)).toBe(false);
    const after = ir.add(x, ir.sum(late, [0]));
    expect(safe([x, y], [after], x, after)).toBe(true);
    expect(safe([x, y], [after, late], x, after)).toBe(true);
  });
});
