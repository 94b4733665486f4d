import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph, topoSort } from '../../../src/tensor/graph.js';
import { isNative, lower } from '../../../src/tensor/onnx/index.js';
import { isComposite } from '../../../src/tensor/passes/expand.js';
import type { PrimName, Target } from '../../../src/tensor/prims.js';
import { evaluate, fromNDArray } from '../../../src/tensor/reference/index.js';
import { cases } from './cases.js';
import { Draw } from './draw.js';
import { runModel } from './ortRun.js';

/** Relative tolerance in f32. The quantized kernel also rounds the activations to 8 bits. */
const tolerance = (op: PrimName, target: Target): number => (op === 'quantMatmul' && target !== 'generic' ? 4e-2 : 2e-5);

/** True where a composite of the graph has no kernel on the target: its expansion is tested with the passes. */
const expandsThere = (graph: Graph, target: Target): boolean =>
  topoSort(graph.outputs).some((node) => isComposite(node.op) && !isNative(node, target));

/** Runs of each primitive, spread over the targets. All models run on the CPU: a target decides which operators stand in them. */
const RUNS = 40;
const targets: readonly Target[] = ['cpu', 'webgpu', 'generic'];

describe('every lowering rule gives what the float64 reference gives', () => {
  for (const [name, example] of Object.entries(cases)) {
    if (example === 'expanded') continue;
    const op = name as PrimName;
    it(op, async () => {
      await fc.assert(
        fc.asyncProperty(fc.gen(), async (g) => {
          const d = new Draw(g);
          const target = d.pick(targets);
          const graph = new Graph(d.inputs, example(d));
          if (expandsThere(graph, target)) return;
          const wanted = evaluate(graph, d.values.map(fromNDArray));
          // the engine runs without ONNX Runtime's optimizer; exported files run with it
          const graphOptimizationLevel = d.pick(['disabled', 'all'] as const);
          const got = await runModel(lower(graph, { target }), d.values, { graphOptimizationLevel });
          for (const [i, w] of wanted.entries()) {
            const a = got[i];
            expect(a?.dtype).toBe(w.dtype);
            expect(a?.shape).toEqual(w.shape);
            const numbers = a?.toNumbers() ?? [];
            const rel = w.dtype === 'f32' ? tolerance(op, target) : w.dtype === 'f16' ? 1e-3 : 0;
            const scale = w.data.reduce((a, x) => Math.max(a, Math.abs(x)), 1);
            for (const [j, x] of w.data.entries()) expect(Math.abs((numbers[j] as number) - x)).toBeLessThanOrEqual(rel * scale);
          }
        }),
        { numRuns: RUNS },
      );
    });
  }
});
