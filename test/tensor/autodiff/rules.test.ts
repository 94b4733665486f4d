import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vjpRules } from '../../../src/tensor/autodiff/rules.js';
import { isFloat } from '../../../src/tensor/dtype.js';
import type { PrimName } from '../../../src/tensor/prims.js';
import { fromNDArray } from '../../../src/tensor/reference/index.js';
import { Draw } from '../onnx/draw.js';
import type { Example } from './caseParts.js';
import { gradCases } from './cases.js';
import { gradientError, gradientOf, type Point, randomNumbers } from './finiteDifferences.js';

/** The constants of erf and gelu are f32 in the graph. */
const tolerance = 2e-6;

/** Primitives that cannot be reached by a gradient: they have no float operand, or only an integer result. */
const unreachable: ReadonlySet<PrimName> = new Set(['constant', 'iota', 'dimValue']);

function pointOf(d: Draw, { outs, wrt }: Example): Point {
  const floats = wrt ?? d.inputs.filter((t) => isFloat(t.dtype));
  // Rules are told which operands are asked for: all of them, or some.
  const some = d.bool() ? floats : floats.filter(() => d.bool());
  return { inputs: d.inputs, values: d.values.map(fromNDArray), outs, wrt: some.length > 0 ? some : floats };
}

const check = (example: (d: Draw) => Example, order: 1 | 2, numRuns: number): void =>
  fc.assert(
    fc.property(fc.gen(), fc.nat(), (g, seed) => {
      const d = new Draw(g);
      const next = randomNumbers(seed);
      let point = pointOf(d, example(d));
      if (order === 2) point = gradientOf(point, next);
      expect(gradientError(point, next)).toBeLessThan(tolerance);
    }),
    { numRuns },
  );

describe('the table of gradients', () => {
  it('has a finite-difference case for every rule, and a reason for every primitive without one', () => {
    for (const [name, rule] of Object.entries(vjpRules)) {
      const example = gradCases[name as PrimName];
      expect(example, name).toBeDefined();
      if (unreachable.has(name as PrimName)) expect(example).toBe('none');
      else expect('noGrad' in rule, `${name} has a rule exactly where it has a case`).toBe(example === 'none');
      if ('noGrad' in rule) expect(rule.noGrad.length, name).toBeGreaterThan(10);
    }
  });
});

describe('gradients against finite differences', () => {
  for (const [name, example] of Object.entries(gradCases)) if (example !== 'none') it(name, () => check(example, 1, 60));
});

describe('gradients of gradients against finite differences', () => {
  for (const [name, example] of Object.entries(gradCases)) if (example !== 'none') it(name, () => check(example, 2, 25));
});
