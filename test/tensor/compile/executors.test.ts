import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isFloat } from '../../../src/tensor/dtype.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { gradCases } from '../autodiff/cases.js';
import { Draw } from '../onnx/draw.js';
import { execute, relativeError, withGradients } from './support.js';

const tolerance = 3e-5;

/** Runs the results and the gradients of drawn examples on ONNX Runtime and in the reference interpreter. */
function compare(example: (d: Draw) => { outs: readonly Tensor[]; wrt?: readonly Tensor[] }, numRuns: number): void {
  fc.assert(
    fc.property(fc.gen(), (g) => {
      const d = new Draw(g);
      const { outs, wrt } = example(d);
      const { graph, values } = withGradients(d, outs, wrt ?? d.inputs.filter((t) => isFloat(t.dtype)));
      expect(relativeError(execute(graph, values, 'ort'), execute(graph, values, 'reference'))).toBeLessThan(tolerance);
    }),
    { numRuns },
  );
}

describe('ONNX Runtime gives the results and gradients of the float64 reference', () => {
  for (const [name, example] of Object.entries(gradCases)) if (example !== 'none') it(name, () => compare(example, 20));
});

describe('and the gradients of gradients', () => {
  for (const [name, example] of Object.entries(gradCases)) {
    if (example === 'none') continue;
    it(name, () =>
      compare((d) => {
        const { outs, wrt } = example(d);
        const by = wrt ?? d.inputs.filter((t) => isFloat(t.dtype));
        const { graph, values } = withGradients(d, outs, by);
        d.inputs.splice(0, d.inputs.length, ...graph.inputs);
        d.values.splice(0, d.values.length, ...values);
        return { outs: graph.outputs, wrt: by };
      }, 6),
    );
  }
});
