import { describe, expect, it } from 'vitest';
import { array } from '../../../src/tensor/array.js';
import { dimAdd, dimMul, sym } from '../../../src/tensor/dim.js';
import { apply, Graph, inputTensor, makeNode } from '../../../src/tensor/graph.js';
import { evaluate, fromNDArray, type RefArray, refArray, refScalar } from '../../../src/tensor/reference/index.js';

const f32 = (shape: number[], values: number[]): RefArray => refArray('f32', shape, Float64Array.from(values));
const numbers = (a: RefArray | undefined): number[] => Array.from(a?.data ?? []);

describe('symbolic dimensions', () => {
  const [b, s] = [sym('B'), sym('S')];
  const x = inputTensor('x', [b, s], 'f32');
  const y = inputTensor('y', [dimMul(b, 2)], 'f32');
  const rows = apply('dimValue', [], { dim: dimAdd(b, s), dtype: 'i32' });
  const flat = apply('reshape', [x], { shape: [dimMul(b, s)] });

  it('come from the shapes of the inputs', () => {
    const [count, values] = evaluate(new Graph([x, y], [rows, flat]), [f32([2, 3], [1, 2, 3, 4, 5, 6]), f32([4], [0, 0, 0, 0])]);
    expect(numbers(count)).toEqual([5]);
    expect(values?.shape).toEqual([6]);
  });

  it('contradictions are errors that name the input', () => {
    expect(() => evaluate(new Graph([x, y], [rows]), [f32([1, 1], [0]), f32([3], [0, 0, 0])])).toThrow(/input 1 \(y\).*2\*B.*B = 1/);
    const z = inputTensor('z', [s, b], 'f32');
    expect(() => evaluate(new Graph([x, z], [rows]), [f32([1, 2], [0, 0]), f32([1, 2], [0, 0])])).toThrow(/input 1 \(z\)/);
    expect(() => evaluate(new Graph([y], [y]), [f32([3], [0, 0, 0])])).toThrow(/2\*B needs a value for "B"/);
    expect(numbers(evaluate(new Graph([y], [y]), [f32([4], [1, 2, 3, 4])])[0])).toEqual([1, 2, 3, 4]);
    expect(numbers(evaluate(new Graph([y], [y]), [f32([4], [1, 2, 3, 4])], new Map([['B', 2]]))[0])).toEqual([1, 2, 3, 4]);
  });
});

it('wrong inputs are errors', () => {
  const x = inputTensor('x', [2], 'f32');
  const graph = new Graph([x], [apply('neg', [x], {})]);
  expect(() => evaluate(graph, [])).toThrow(/takes 1 inputs, got 0/);
  expect(() => evaluate(graph, [f32([3], [1, 2, 3])])).toThrow(/input 0 \(x\) is f32\[3\], declared f32\[2\]/);
  expect(() => evaluate(graph, [fromNDArray(array([1, 2], { dtype: 'i32' }))])).toThrow(/i32\[2\]/);
  const other = inputTensor('other', [2], 'f32');
  expect(() => evaluate(new Graph([x], [apply('add', [x, other], {})]), [f32([2], [1, 2])])).toThrow(/argument "other"/);
});

describe('bodies', () => {
  // carry' = c * carry + x; y = carry
  const body = (() => {
    const [c, carry, x] = ['c', 'carry', 'x'].map((name) => inputTensor(name, [2], 'f32')) as [
      ReturnType<typeof inputTensor>,
      ReturnType<typeof inputTensor>,
      ReturnType<typeof inputTensor>,
    ];
    return new Graph([c, carry, x], [apply('add', [apply('mul', [c, carry], {}), x], {}), carry]);
  })();
  const inputs = [inputTensor('c', [2], 'f32'), inputTensor('h', [2], 'f32'), inputTensor('xs', [3, 2], 'f32')];
  const values = [f32([2], [2, 10]), f32([2], [1, 1]), f32([3, 2], [1, 2, 3, 4, 5, 6])];

  it('scan carries forwards, and backwards with reverse', () => {
    const scan = (reverse: boolean): number[][] =>
      evaluate(new Graph(inputs, makeNode('scan', inputs, { body, numConsts: 1, numCarries: 1, reverse }).outs), values).map(numbers);
    expect(scan(false)).toEqual([
      [2 * (2 * (2 + 1) + 3) + 5, 10 * (10 * (10 + 2) + 4) + 6],
      [1, 1, 3, 12, 9, 124],
    ]);
    expect(scan(true)).toEqual([
      [2 * (2 * (2 + 5) + 3) + 1, 10 * (10 * (10 + 6) + 4) + 2],
      [17, 164, 7, 16, 1, 1],
    ]);
  });

  it('scan of no steps gives the carries back', () => {
    const empty = [...inputs.slice(0, 2), inputTensor('xs', [0, 2], 'f32')];
    const graph = new Graph(empty, makeNode('scan', empty, { body, numConsts: 1, numCarries: 1, reverse: false }).outs);
    const [carry, ys] = evaluate(graph, [...values.slice(0, 2), f32([0, 2], [])]);
    expect([numbers(carry), ys?.shape]).toEqual([
      [1, 1],
      [0, 2],
    ]);
  });

  it('call applies its body; customVjp passes its results through', () => {
    const three = [...inputs.slice(0, 2), inputTensor('x', [2], 'f32')];
    const args = [values[0], values[1], f32([2], [1, 2])] as RefArray[];
    const call = makeNode('call', three, { body, label: 'step', concurrent: false });
    expect(evaluate(new Graph(three, call.outs), args).map(numbers)).toEqual([
      [3, 12],
      [1, 1],
    ]);
    const custom = makeNode('customVjp', [...three.slice(0, 1), call.out(0)], { numArgs: 1, numOuts: 1, backward: () => [null] });
    expect(evaluate(new Graph(three, custom.outs), args).map(numbers)).toEqual([[3, 12]]);
  });
});

it('f32 arithmetic is not rounded', () => {
  const x = inputTensor('x', [], 'f32');
  const graph = new Graph([x], [apply('add', [x, apply('constant', [], { value: array(1) })], {})]);
  expect(numbers(evaluate(graph, [refScalar('f32', 1e-12)])[0])).toEqual([1 + 1e-12]);
});
