import { makeNode, type Node, type Tensor, topoSort } from '../graph.js';

/** Replacement of a node: its new outputs, or undefined to copy it with its mapped inputs. */
export type Rewriter = (node: Node, inputs: readonly Tensor[]) => readonly Tensor[] | undefined;

/** Rebuilds the graph under `outputs` in topological order; nodes whose inputs did not change are kept as they are. */
export function rewrite(outputs: readonly Tensor[], visit: Rewriter, start: ReadonlyMap<Tensor, Tensor> = new Map()): Tensor[] {
  const map = new Map<Tensor, Tensor>(start);
  const at = (t: Tensor): Tensor => map.get(t) ?? t;
  for (const node of topoSort(outputs, start)) {
    const inputs = node.inputs.map(at);
    let outs = visit(node, inputs);
    if (!outs) {
      const same = inputs.every((t, i) => t === node.inputs[i]);
      outs = same ? node.outs : makeNode(node.op, inputs, node.attrs, node.trace).outs;
    }
    node.outs.forEach((t, i) => {
      const to = outs[i];
      if (to && to !== t && !start.has(t)) map.set(t, to);
    });
  }
  return outputs.map(at);
}

/** The same graph with some tensors (usually inputs) exchanged for others. */
export const substitute = (outputs: readonly Tensor[], replacements: ReadonlyMap<Tensor, Tensor>): Tensor[] =>
  rewrite(outputs, () => undefined, replacements);
