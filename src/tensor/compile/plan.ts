import { type Shape, symbolsOf } from '../dim.js';
import { Graph, type Graph as GraphType, inputTensor, isOp, makeNode, type Node, type Tensor, topoSort } from '../graph.js';
import { rewrite, substitute } from '../passes/rewrite.js';

/** One session's worth of work: `graph` run on the values at `inputs`, giving those at `outputs`. */
export interface Step {
  readonly graph: GraphType;
  readonly label: string;
  /** steps of one group run at the same time; neighbours in the list */
  readonly group?: string;
  /** value numbers in the order of graph.inputs */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** A graph cut at its calls. Values 0..numInputs-1 are the arguments. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly numInputs: number;
  /** a tensor that describes each value (shape and dtype) */
  readonly values: readonly Tensor[];
  readonly outputs: readonly number[];
}

/** Replaces calls by their bodies, in the bodies of scans too. */
export function inlineCalls(outputs: readonly Tensor[]): Tensor[] {
  return rewrite(outputs, (node, inputs) => {
    if (!isOp(node, 'call')) return inlineInBody(node, inputs);
    const { body } = node.attrs;
    const inner = inlineCalls(body.outputs);
    return substitute(inner, new Map(body.inputs.map((t, i) => [t, inputs[i] as Tensor])));
  });
}

/** A scan with the calls of its body replaced: a loop is one session with all that it does. */
function inlineInBody(node: Node, inputs: readonly Tensor[]): readonly Tensor[] | undefined {
  if (!isOp(node, 'scan')) return undefined;
  const { body } = node.attrs;
  const outputs = inlineCalls(body.outputs);
  if (outputs.every((t, i) => t === body.outputs[i])) return undefined;
  return makeNode('scan', inputs, { ...node.attrs, body: new Graph(body.inputs, outputs) }, node.trace).outs;
}

const hasCalls = (order: readonly Node[]): boolean => order.some((n) => n.op === 'call');

/**
 * Cuts a graph into steps: each `call` is one (equal bodies later share a session), and what stands between the calls is gathered into as few
 * steps as the dependencies allow. Nodes that depend on no argument are repeated in every step that needs them.
 */
export function planSteps(traced: GraphType): Plan {
  const graph = new Graph(traced.inputs, rewrite(traced.outputs, inlineInBody));
  const order = topoSort(graph.outputs);
  const values: Tensor[] = [...graph.inputs];
  const numberOf = new Map<Tensor, number>(graph.inputs.map((t, i) => [t, i]));
  const numberFor = (t: Tensor): number => {
    let n = numberOf.get(t);
    if (n === undefined) {
      n = values.length;
      values.push(t);
      numberOf.set(t, n);
    }
    return n;
  };
  if (!hasCalls(order)) {
    const outputs = graph.outputs.map((_, i) => graph.inputs.length + i);
    return {
      steps: [{ graph, label: 'main', inputs: graph.inputs.map((_, i) => i), outputs }],
      numInputs: graph.inputs.length,
      values: [...graph.inputs, ...graph.outputs],
      outputs,
    };
  }

  // Stage s of the glue runs before the calls of level s.
  const stage = new Map<Node, number>();
  const free = new Set<Node>();
  for (const node of order) {
    if (node.op !== 'input' && node.op !== 'call' && node.inputs.every((t) => free.has(t.node))) free.add(node);
    const ready = node.inputs.map((t) => (stage.get(t.node) ?? 0) + (t.node.op === 'call' ? 1 : 0));
    stage.set(node, Math.max(0, ...ready));
  }
  delay(order, stage);
  const glue: Node[][] = [];
  const calls: Node<'call'>[][] = [];
  const put = <T>(lists: T[][], at: number, item: T): void => {
    while (lists.length <= at) lists.push([]);
    (lists[at] as T[]).push(item);
  };
  for (const node of order) {
    if (node.op === 'input' || free.has(node)) continue;
    if (isOp(node, 'call')) put(calls, stage.get(node) as number, node);
    else put(glue, stage.get(node) as number, node);
  }

  const exported = new Set<Tensor>(graph.outputs);
  for (const node of order)
    for (const t of node.inputs) {
      const crosses = node.op === 'call' || stage.get(node) !== stage.get(t.node);
      if (crosses && t.node.op !== 'call' && t.node.op !== 'input' && (!free.has(t.node) || node.op === 'call')) exported.add(t);
    }

  const steps: Step[] = [];
  const addGlue = (outputs: readonly Tensor[], label: string): void => {
    if (outputs.length === 0) return;
    steps.push(cutOut(outputs, numberFor, (t) => t.node.op === 'input' || t.node.op === 'call' || numberOf.has(t), label));
  };
  const depth = Math.max(glue.length, calls.length);
  // Free values that calls need as arguments, or that the program returns, are made once at the start.
  addGlue(
    [...exported].filter((t) => free.has(t.node)),
    'constants',
  );
  for (let s = 0; s < depth; s++) {
    const nodes = new Set(glue[s] ?? []);
    addGlue(
      [...exported].filter((t) => nodes.has(t.node)),
      `between ${s}`,
    );
    for (const call of inGroups(calls[s] ?? [])) {
      steps.push({
        graph: new Graph(call.attrs.body.inputs, inlineCalls(call.attrs.body.outputs)),
        label: call.attrs.label,
        ...(call.attrs.concurrent ? { group: `level ${s}` } : {}),
        inputs: call.inputs.map(numberFor),
        outputs: call.outs.map(numberFor),
      });
    }
  }
  return {
    steps: steps.map((s) => withSizes(s, graph.inputs)),
    numInputs: graph.inputs.length,
    values,
    outputs: graph.outputs.map(numberFor),
  };
}

/** Symbols in the shapes of a graph, its bodies included. */
function symbolsIn(outputs: readonly Tensor[], found = new Set<string>()): Set<string> {
  const add = (shape: Shape): void => {
    for (const name of symbolsOf(shape)) found.add(name);
  };
  for (const node of topoSort(outputs)) {
    for (const t of node.outs) add(t.shape);
    if (isOp(node, 'dimValue')) add([node.attrs.dim]);
    if (isOp(node, 'scan')) symbolsIn(node.attrs.body.outputs, found);
  }
  return found;
}

/** A step with arguments of the program added that tell the sizes that its own inputs do not. */
function withSizes(step: Step, programInputs: readonly Tensor[]): Step {
  const plain = new Set(step.graph.inputs.flatMap((t) => t.shape.map(String)));
  const inputs = [...step.graph.inputs];
  const numbers = [...step.inputs];
  for (const name of symbolsIn(step.graph.outputs)) {
    if (plain.has(name)) continue;
    const tells = programInputs.findIndex((t) => t.shape.some((d) => String(d) === name));
    const source = tells >= 0 ? tells : programInputs.findIndex((t) => symbolsOf(t.shape).has(name));
    const like = programInputs[source];
    if (!like || numbers.includes(source)) continue;
    inputs.push(inputTensor(`size.${name}`, like.shape, like.dtype));
    numbers.push(source);
  }
  return inputs.length === step.inputs.length ? step : { ...step, graph: new Graph(inputs, step.graph.outputs), inputs: numbers };
}

/**
 * Moves what depends on no call to the stage of its first user: computed earlier, it would have to be kept (an optimizer's decayed moments, say).
 */
function delay(order: readonly Node[], stage: Map<Node, number>): void {
  const first = new Map<Node, number>();
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i] as Node;
    const used = first.get(node);
    if (node.op !== 'call' && stage.get(node) === 0 && used !== undefined) stage.set(node, used);
    for (const t of node.inputs) first.set(t.node, Math.min(first.get(t.node) ?? Number.POSITIVE_INFINITY, stage.get(node) as number));
  }
}

/** Concurrent calls one after the other, so that they form a group. */
const inGroups = (calls: readonly Node<'call'>[]): Node<'call'>[] => [
  ...calls.filter((c) => !c.attrs.concurrent),
  ...calls.filter((c) => c.attrs.concurrent),
];

/** A step that computes `outputs` from values that exist already. */
function cutOut(outputs: readonly Tensor[], numberFor: (t: Tensor) => number, exists: (t: Tensor) => boolean, label: string): Step {
  const borders = new Map<Tensor, Tensor>();
  const seen = new Set<Node>();
  const stack = [...outputs.map((t) => t.node)];
  while (stack.length) {
    const node = stack.pop() as Node;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const t of node.inputs) {
      if (!exists(t)) stack.push(t.node);
      else if (!borders.has(t)) borders.set(t, inputTensor(`v${borders.size}`, t.shape, t.dtype));
    }
  }
  const graph = new Graph([...borders.values()], substitute(outputs, borders));
  const inputs = [...borders.keys()].map(numberFor);
  return { graph, label, inputs, outputs: outputs.map(numberFor) };
}
