import { shapeEq } from '../dim.js';
import { type Graph, isOp, type Node, type Tensor, topoSort } from '../graph.js';
import { arithmeticNames, type PrimName, unaryNames } from '../prims.js';

/** Kernels that read element i before they write element i, so that input and output of one shape may be the same memory (mod is several kernels). */
const pointwise: ReadonlySet<PrimName> = new Set([...unaryNames, ...arithmeticNames].filter((name) => name !== 'mod'));

/** Operations that ONNX Runtime executes by handing the same memory on. */
const views: ReadonlySet<PrimName> = new Set(['reshape', 'stopGradient', 'customVjp']);

/**
 * Proves, for pairs (input, output) of one graph, that the output may be written into the input's memory: whatever order the runtime picks, every
 * read of the input comes before that write. A read comes before if the writer depends on it; the writer's own read is
 * harmless where its kernel is pointwise.
 */
export class InPlaceAnalysis {
  readonly #order: readonly Node[];
  readonly #readers = new Map<Tensor, Node[]>();
  readonly #ancestors = new Map<Node, Set<Node>>();
  readonly #outputs: ReadonlySet<Tensor>;

  constructor(graph: Graph) {
    this.#order = topoSort(graph.outputs);
    this.#outputs = new Set(graph.outputs);
    for (const node of this.#order)
      for (const t of new Set(node.inputs)) {
        const list = this.#readers.get(t);
        if (list) list.push(node);
        else this.#readers.set(t, [node]);
      }
  }

  #ancestorsOf(node: Node): Set<Node> {
    let set = this.#ancestors.get(node);
    if (set) return set;
    set = new Set();
    const stack = node.inputs.map((t) => t.node);
    while (stack.length) {
      const next = stack.pop() as Node;
      if (set.has(next)) continue;
      set.add(next);
      for (const t of next.inputs) stack.push(t.node);
    }
    this.#ancestors.set(node, set);
    return set;
  }

  /** Nodes that read the memory of t, through views as well; undefined where t's memory itself leaves the graph as another output. */
  #memoryReaders(t: Tensor, output: Tensor): Node[] | undefined {
    const found: Node[] = [];
    for (const node of this.#readers.get(t) ?? []) {
      found.push(node);
      if (!views.has(node.op)) continue;
      for (const view of node.outs) {
        if (view === output) return undefined;
        if (this.#outputs.has(view)) return undefined;
        const more = this.#memoryReaders(view, output);
        if (!more) return undefined;
        found.push(...more);
      }
    }
    return found;
  }

  /** Whether `output` may be written into the memory of `input`. */
  isSafe(input: Tensor, output: Tensor): boolean {
    if (input === output || !shapeEq(input.shape, output.shape) || input.dtype !== output.dtype || this.#outputs.has(input)) return false;
    const writer = output.node;
    if (writer.op === 'input' || writer.op === 'constant' || views.has(writer.op)) return false;
    const readers = this.#memoryReaders(input, output);
    if (!readers) return false;
    const before = this.#ancestorsOf(writer);
    return readers.every((reader) => (reader === writer ? this.#ownReadIsHarmless(writer, input, output) : before.has(reader)));
  }

  #ownReadIsHarmless(writer: Node, input: Tensor, output: Tensor): boolean {
    // A view of the memory has as many elements as the result: where it is an operand of a pointwise kernel, it has the result's shape too.
    if (pointwise.has(writer.op)) return writer.inputs.every((t) => t !== input || shapeEq(t.shape, output.shape));
    const position = writer.inputs.indexOf(input);
    const readElsewhere = writer.inputs.some((t, i) => i !== position && this.#memoryOf(t) === input);
    if (position < 0 || readElsewhere) return false;
    // The cache kernel appends rows to the memory that it was given: operands 3 and 4 become results 1 and 2.
    if (writer.op === 'cachedAttention') return position >= 3 && output.index === position - 2;
    // ScatterElements starts from a copy of its first operand, or from that operand itself.
    return writer.op === 'scatterAlong' && position === 0;
  }

  /** The tensor whose memory t is a view of, or t itself. */
  #memoryOf(t: Tensor): Tensor {
    const { node } = t;
    if (!views.has(node.op)) return t;
    const source = isOp(node, 'customVjp') ? node.inputs[node.attrs.numArgs + t.index] : node.inputs[0];
    return this.#memoryOf(source as Tensor);
  }
}
