import { inputTensor, isOp, makeNode, type Node, type Tensor } from '../graph.js';

/** A traced body made independent of outer values. */
export interface Closed {
  readonly outputs: readonly Tensor[];
  /** outer values that the body read, and the inputs that stand for them in it */
  readonly lifted: readonly Tensor[];
  readonly inputs: readonly Tensor[];
}

/** A small value without operands, which a body may hold itself. */
const isCheapLeaf = (node: Node): boolean =>
  isOp(node, 'constant') ? node.attrs.value.size <= 1 : node.op === 'iota' || node.op === 'dimValue';

/**
 * Nodes of the body below its outputs, inputs before users. Ids grow with creation, so what is older than the body's own arguments lies
 * outside and is not entered.
 */
function bodyNodes(outputs: readonly Tensor[], firstId: number): Node[] {
  const seen = new Set<Node>();
  const stack = outputs.map((t) => t.node);
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (node.id < firstId || seen.has(node)) continue;
    seen.add(node);
    for (const t of node.inputs) stack.push(t.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/**
 * Closes a traced body over the outer values it uses: they become inputs, and the nodes above them are rebuilt. With `hoist`, whatever
 * the body computes without its own arguments is moved out as well (computed once instead of at every iteration).
 */
export function closeOver(args: readonly Tensor[], outputs: readonly Tensor[], { hoist }: { readonly hoist: boolean }): Closed {
  const own = new Set(args.map((t) => t.node));
  const nodes = bodyNodes(outputs, args[0]?.node.id ?? Number.POSITIVE_INFINITY).filter((n) => !own.has(n));
  const inside = new Set<Node>(own);
  for (const node of nodes) if (!hoist || node.inputs.some((t) => inside.has(t.node))) inside.add(node);

  const replaced = new Map<Tensor, Tensor>();
  const lifted: Tensor[] = [];
  const inputs: Tensor[] = [];
  const inBody = (t: Tensor): Tensor => {
    const known = replaced.get(t);
    if (known || inside.has(t.node) || isCheapLeaf(t.node)) return known ?? t;
    const input = inputTensor(`outer${lifted.length}`, t.shape, t.dtype);
    lifted.push(t);
    inputs.push(input);
    replaced.set(t, input);
    return input;
  };
  for (const node of nodes) {
    if (!inside.has(node)) continue;
    const operands = node.inputs.map(inBody);
    if (operands.every((t, i) => t === node.inputs[i])) continue;
    const copy = makeNode(node.op, operands, node.attrs, node.trace);
    for (const [i, t] of node.outs.entries()) replaced.set(t, copy.out(i));
  }
  return { outputs: outputs.map(inBody), lifted, inputs };
}
