import { allocate, type NDArray } from '../../../src/tensor/array.js';
import { vjp } from '../../../src/tensor/autodiff/index.js';
import type { BackendName } from '../../../src/tensor/backends/types.js';
import { Executable } from '../../../src/tensor/compile/executable.js';
import { isFloat } from '../../../src/tensor/dtype.js';
import { Graph, inputTensor, type Tensor } from '../../../src/tensor/graph.js';
import type { Draw } from '../onnx/draw.js';

/** Values of a graph of fixed shapes, through the passes, the plan and a backend. */
export function execute(graph: Graph, values: readonly NDArray[], backend: BackendName): NDArray[] {
  const executable = new Executable(graph, [], { backend });
  const outputs = graph.outputs.map((t) => allocate(t.dtype, t.shape as number[]));
  try {
    executable.runSync(values, outputs, new Map());
  } finally {
    executable.dispose();
  }
  return outputs;
}

/** Largest difference of two lists of arrays, relative to the largest value of each array (at least 1). NaN and infinities must agree. */
export function relativeError(actual: readonly NDArray[], expected: readonly NDArray[]): number {
  let worst = 0;
  expected.forEach((e, i) => {
    const a = actual[i];
    if (!a || a.dtype !== e.dtype || a.shape.join() !== e.shape.join())
      throw new Error(`result ${i}: ${a?.dtype}[${a?.shape}] instead of ${e.dtype}[${e.shape}]`);
    const [x, y] = [a.toNumbers(), e.toNumbers()];
    const scale = y.reduce((m, v) => Math.max(m, Number.isFinite(v) ? Math.abs(v) : 0), 1);
    y.forEach((v, j) => {
      const u = x[j] as number;
      const error = Object.is(u, v) || u === v ? 0 : Math.abs(u - v) / scale;
      if (!(error <= worst)) worst = error;
    });
  });
  return worst;
}

/** The results and the gradients of <cotangents, results> by `wrt`, as one graph over the drawn inputs and the cotangents, with values. */
export function withGradients(d: Draw, outs: readonly Tensor[], wrt: readonly Tensor[]): { graph: Graph; values: NDArray[] } {
  const floats = outs.filter((t) => isFloat(t.dtype));
  const seeds = floats.map((t, i) => inputTensor(`g${i}`, t.shape, 'f32'));
  const grads = vjp(floats, wrt, seeds).filter((g): g is Tensor => g !== null);
  const seedValues = seeds.map((t) => d.array('f32', t.shape as number[], -1, 1));
  return { graph: new Graph([...d.inputs, ...seeds], [...outs, ...grads]), values: [...d.values, ...seedValues] };
}
