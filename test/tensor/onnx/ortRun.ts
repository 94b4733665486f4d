import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { NDArray } from '../../../src/tensor/array.js';
import { dtypeInfo, type TypedArray } from '../../../src/tensor/dtype.js';
import type { Graph } from '../../../src/tensor/graph.js';
import { type LoweredModel, type LowerOptions, lower } from '../../../src/tensor/onnx/index.js';

/** Runs a lowered model on ONNX Runtime's own JavaScript binding (bf16 cannot cross it). */
export async function runModel(
  spec: LoweredModel,
  inputs: readonly NDArray[],
  options: InferenceSession.SessionOptions = {},
): Promise<NDArray[]> {
  const session = await InferenceSession.create(spec.model, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3, ...options });
  const feeds = Object.fromEntries(
    spec.inputs.map((port, i) => {
      const { dtype, data, shape } = inputs[i] as NDArray;
      return [port.name, new OrtTensor(dtypeInfo[dtype].ortName as 'float32', data as Float32Array, shape as number[])];
    }),
  );
  const results = await session.run(feeds);
  await session.release();
  return spec.outputs.map(({ name, dtype }) => {
    const t = results[name] as OrtTensor;
    return new NDArray(dtype, t.dims, t.data as TypedArray);
  });
}

/** Lowers a graph and runs it. */
export const runGraph = (graph: Graph, inputs: readonly NDArray[], options: Partial<LowerOptions> = {}): Promise<NDArray[]> =>
  runModel(lower(graph, { target: 'cpu', ...options }), inputs);
