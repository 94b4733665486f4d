import { type Dim, type Shape, shapeStr } from './dim.js';
import type { DType } from './dtype.js';
import { callerOf } from './errors.js';
import type { PrimAttrs, PrimName } from './prims.js';
import { shapeRules } from './shape/index.js';
import { Tensor } from './tensor.js';

export { Tensor };

/** Shape and dtype of one output. */
export interface Spec {
  readonly shape: Shape;
  readonly dtype: DType;
}

let nextId = 0;

/** One application of a primitive. Immutable; `id` increases in creation order, so it is a topological order. */
export class Node<K extends PrimName = PrimName> {
  readonly id = nextId++;
  readonly outs: readonly Tensor[];
  /** captured lazily: V8 formats the stack only when it is read */
  readonly #trace: { stack?: string };

  constructor(
    readonly op: K,
    readonly inputs: readonly Tensor[],
    readonly attrs: PrimAttrs[K],
    specs: readonly Spec[],
    trace?: { stack?: string },
  ) {
    this.outs = specs.map((s, i) => new Tensor(this as unknown as Node, i, s.shape, s.dtype));
    if (trace) this.#trace = trace;
    else {
      this.#trace = {};
      // absent in older browsers
      Error.captureStackTrace?.(this.#trace, makeNode);
    }
  }

  /** "file:line:column" of the model code that created the node. */
  get where(): string | undefined {
    return callerOf(this.#trace.stack);
  }

  get trace(): { stack?: string } {
    return this.#trace;
  }

  out(i = 0): Tensor {
    const t = this.outs[i];
    if (!t) throw new RangeError(`${this.op} has ${this.outs.length} outputs, not ${i + 1}`);
    return t;
  }

  toString(): string {
    return `${this.op}(${this.inputs.map((t) => shapeStr(t.shape)).join(', ')})`;
  }
}

/** A node whose op is known; narrows attrs. */
export const isOp = <K extends PrimName>(node: Node, op: K): node is Node<K> => node.op === op;

/** Applies a primitive: checks shapes and dtypes by its rule and returns the new node. */
export function makeNode<K extends PrimName>(op: K, inputs: readonly Tensor[], attrs: PrimAttrs[K], trace?: { stack?: string }): Node<K> {
  return new Node(op, inputs, attrs, shapeRules[op](inputs, attrs), trace);
}

/** Applies a one-output primitive. */
export const apply = <K extends PrimName>(op: K, inputs: readonly Tensor[], attrs: PrimAttrs[K]): Tensor =>
  makeNode(op, inputs, attrs).out();

/** A closed piece of graph: `outputs` depend on nothing but `inputs` (nodes of op "input") and constants. */
export class Graph {
  constructor(
    readonly inputs: readonly Tensor[],
    readonly outputs: readonly Tensor[],
  ) {}
}

/**
 * Nodes that `outputs` need, in topological order (inputs before users). Does not descend into bodies, nor past the tensors of `border`.
 */
export function topoSort(outputs: readonly Tensor[], border?: { has(t: Tensor): boolean }): Node[] {
  const seen = new Set<Node>();
  const stack: Node[] = [];
  const push = (t: Tensor): void => {
    if (!border?.has(t) && !seen.has(t.node)) {
      seen.add(t.node);
      stack.push(t.node);
    }
  };
  for (const t of outputs) push(t);
  for (let node = stack.pop(); node; node = stack.pop()) for (const t of node.inputs) push(t);
  return [...seen].sort((a, b) => a.id - b.id);
}

/** An argument of a traced function. */
export const inputTensor = (name: string, shape: readonly Dim[], dtype: DType): Tensor =>
  new Node('input', [], { name }, [{ shape, dtype }]).out();
