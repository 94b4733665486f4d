import type { NDArray } from '../array.js';
import type { KernelEvent, Session } from '../backends/types.js';
import { BackendError, OpError } from '../errors.js';
import { type Graph, topoSort } from '../graph.js';
import { type LoweredModel, parseNodeName } from '../onnx/index.js';

/**
 * The session of a lowered graph. It is handed all arguments of the graph, while the model may declare fewer; a kernel that fails is reported as the
 * operation of the graph that it came from.
 */
export class ModelSession implements Session {
  readonly #session: Session;
  readonly #graph: Graph;
  readonly #indices: readonly number[] | undefined;

  constructor(session: Session, model: LoweredModel, graph: Graph) {
    this.#session = session;
    this.#graph = graph;
    const { inputIndices } = model;
    this.#indices = inputIndices.length === graph.inputs.length && inputIndices.every((n, i) => n === i) ? undefined : inputIndices;
  }

  #select(inputs: readonly NDArray[]): readonly NDArray[] {
    return this.#indices ? this.#indices.map((i) => inputs[i] as NDArray) : inputs;
  }

  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[]): void {
    try {
      this.#session.runSync(this.#select(inputs), outputs);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async run(inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void> {
    try {
      await this.#session.run(this.#select(inputs), outputs);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  endProfiling(): KernelEvent[] {
    return this.#session.endProfiling();
  }

  dispose(): void {
    this.#session.dispose();
  }

  /** ONNX Runtime names the node that failed; the graph knows its operation, shapes and the line that made it. */
  #explain(error: unknown): unknown {
    if (!(error instanceof BackendError)) return error;
    const failed = parseNodeName(/Name:'([^']+)'/.exec(error.message)?.[1] ?? '');
    const node = failed && topoSort(this.#graph.outputs).find((n) => n.id === failed.id);
    if (!node) return error;
    const reason = /Status Message: ([\s\S]*)$/.exec(error.message)?.[1] ?? error.message;
    return new OpError(
      node.op,
      `failed on ${node.inputs.map((t) => `${t.dtype}[${t.shape.join(', ')}]`).join(', ')}: ${reason.trim()}`,
      node.where,
    );
  }
}
