import type { NDArray } from '../array.js';
import type { KernelEvent, Session } from '../backends/types.js';
import { BackendError, OpError } from '../errors.js';
import { type Graph, topoSort } from '../graph.js';
import type { LoweredModel } from '../onnx/index.js';

/** The session of a lowered graph: it is handed all arguments of the graph, while the model may declare fewer. */
export class ModelSession implements Session {
  readonly #session: Session;
  readonly #indices: readonly number[] | undefined;

  constructor(session: Session, model: LoweredModel, graphInputs: number) {
    this.#session = session;
    const { inputIndices } = model;
    this.#indices = inputIndices.length === graphInputs && inputIndices.every((n, i) => n === i) ? undefined : inputIndices;
  }

  #select(inputs: readonly NDArray[]): readonly NDArray[] {
    return this.#indices ? this.#indices.map((i) => inputs[i] as NDArray) : inputs;
  }
  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[]): void {
    this.#session.runSync(this.#select(inputs), outputs);
  }
  run(inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void> {
    return this.#session.run(this.#select(inputs), outputs);
  }
  endProfiling(): KernelEvent[] {
    return this.#session.endProfiling();
  }
  dispose(): void {
    this.#session.dispose();
  }
}

/**
 * ONNX Runtime names the node that failed; the graph knows its operation, shapes and the line that made it. The model may have been made of
 * another, equal graph: `nodeIds` are the ids of that one's nodes in topological order. A kernel in a loop is reported as the loop.
 */
export function explain(error: unknown, graph: Graph, nodeIds: readonly number[]): unknown {
  if (!(error instanceof BackendError)) return error;
  const id = Number(/Name:'n(\d+)_/.exec(error.message)?.[1] ?? -1);
  const node = topoSort(graph.outputs)[nodeIds.indexOf(id)];
  if (!node) return error;
  const reason = /Status Message: ([\s\S]*)$/.exec(error.message)?.[1] ?? error.message;
  return new OpError(
    node.op,
    `failed on ${node.inputs.map((t) => `${t.dtype}[${t.shape.join(', ')}]`).join(', ')}: ${reason.trim()}`,
    node.where,
  );
}
