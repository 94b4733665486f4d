import { describe, it } from 'vitest';
import { vjp } from '../../src/tensor/autodiff/index.js';
import type { Tensor } from '../../src/tensor/graph.js';
import { leakyRelu, logSigmoid, relu, softplus } from '../../src/tensor/ops/activation.js';
import { sort } from '../../src/tensor/ops/order.js';
import { logsumexp, mean, norm, variance } from '../../src/tensor/ops/reduce.js';
import { applyCase, expectClose, type GoldenArray, type GoldenCase, goldenCases, runReference, toRef } from './golden.js';

const cases = goldenCases();
const composed = {
  logsumexp: (x: Tensor, axis: number) => logsumexp(x, { axis }),
  mean: (x: Tensor, axis: number) => mean(x, { axis }),
  variance: (x: Tensor, axis: number) => variance(x, { axis }),
  norm: (x: Tensor, axis: number) => norm(x, { axis }),
  sort: (x: Tensor, axis: number) => sort(x, { axis }),
  softplus: (x: Tensor) => softplus(x),
  logSigmoid: (x: Tensor) => logSigmoid(x),
  relu: (x: Tensor) => relu(x),
  leakyRelu: (x: Tensor) => leakyRelu(x, 0.125),
};
// constants of a VJP rule (2/sqrt(pi), 1/sqrt(2)) are f32 in the graph
const toleranceOf = (c: GoldenCase): number => (c.op === 'erf' || c.op === 'gelu' ? 1e-7 : 1e-11);

const present = <T>(values: readonly (T | null)[] | undefined): T[] => (values ?? []).filter((v) => v !== null);
const select = <T>(values: readonly T[], like: readonly unknown[] | undefined): T[] => values.filter((_, i) => like?.[i]);

/** vjp as it comes, with nulls (no dependence) as the caller sees them. */
function gradients(c: GoldenCase, inputs: readonly Tensor[], cotangents: readonly Tensor[]): readonly (Tensor | null)[] {
  const outputs = select(applyCase(c, inputs, composed), c.cotangents);
  return vjp(outputs, select(inputs, c.grads), cotangents);
}

/** Compares tensors that may be null against arrays that then must be zero. */
function expectAll(
  c: GoldenCase,
  extra: readonly GoldenArray[],
  expected: readonly GoldenArray[],
  build: (inputs: readonly Tensor[], extra: readonly Tensor[]) => readonly (Tensor | null)[],
): void {
  const arrays = [...c.inputs, ...extra].map(toRef);
  const missing: number[] = [];
  const results = runReference(arrays, (all) => {
    const tensors = build(all.slice(0, c.inputs.length), all.slice(c.inputs.length));
    tensors.forEach((t, i) => {
      if (!t) missing.push(i);
    });
    return present(tensors);
  });
  expected.forEach((e, i) => {
    const zero = { ...e, data: e.data.map(() => 0) };
    expectClose(
      missing.includes(i) ? zero : (results.shift() as GoldenArray | ReturnType<typeof toRef>),
      e,
      toleranceOf(c),
      `${c.name} result ${i}`,
    );
  });
}

describe('the reference agrees with PyTorch in float64', () => {
  it.each(cases.map((c) => [c.name, c] as const))('%s', (_, c) => {
    expectAll(c, [], c.outputs, (inputs) => applyCase(c, inputs, composed));
  });
});

describe('vjp agrees with PyTorch', () => {
  it.each(cases.filter((c) => c.grads).map((c) => [c.name, c] as const))('%s', (_, c) => {
    expectAll(c, present(c.cotangents), present(c.grads), (inputs, cotangents) => gradients(c, inputs, cotangents));
  });
});

describe('vjp of vjp agrees with PyTorch', () => {
  it.each(cases.filter((c) => c.grads2).map((c) => [c.name, c] as const))('%s', (_, c) => {
    const cotangents = present(c.cotangents);
    expectAll(c, [...cotangents, ...present(c.tangents)], present(c.grads2), (inputs, extra) => {
      const first = gradients(c, inputs, extra.slice(0, cotangents.length));
      const tangents = extra.slice(cotangents.length).filter((_, i) => first[i]);
      return vjp(present(first), select(inputs, c.grads), tangents);
    });
  });
});
