import type { OnnxGraph, OnnxNode } from './encoder.js';

/** The graphs that a node holds as attributes. */
export function subgraphs(node: OnnxNode): OnnxGraph[] {
  return Object.values(node.attrs).filter((a): a is OnnxGraph => typeof a === 'object' && 'kind' in a && a.kind === 'graph');
}

/** Names that a node reads, those that its bodies capture included. */
function* reads(node: OnnxNode): Generator<string> {
  yield* node.inputs;
  for (const g of subgraphs(node)) {
    for (const n of g.nodes) yield* reads(n);
    for (const o of g.outputs) yield o.name;
  }
}

/** All names that some nodes read. */
export function namesRead(nodes: readonly OnnxNode[]): Set<string> {
  const names = new Set<string>();
  for (const node of nodes) for (const name of reads(node)) names.add(name);
  return names;
}

/** The nodes that `outputs` need, in the same order. */
export function removeUnused(nodes: readonly OnnxNode[], outputs: readonly string[]): OnnxNode[] {
  const needed = new Set(outputs);
  const kept: OnnxNode[] = [];
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i] as OnnxNode;
    if (!node.outputs.some((o) => needed.has(o))) continue;
    kept.push(node);
    for (const name of reads(node)) needed.add(name);
  }
  return kept.reverse();
}

/** The nodes with other names for some values, in bodies too. */
export function rename(nodes: readonly OnnxNode[], names: ReadonlyMap<string, string>): OnnxNode[] {
  const map = (name: string): string => names.get(name) ?? name;
  return nodes.map((node) => {
    const graphs = subgraphs(node);
    const attrs =
      graphs.length === 0 ? node.attrs : Object.fromEntries(Object.entries(node.attrs).map(([k, v]) => [k, renameIn(v, names)]));
    return { ...node, inputs: node.inputs.map(map), outputs: node.outputs.map(map), attrs };
  });
}

function renameIn(value: OnnxNode['attrs'][string], names: ReadonlyMap<string, string>): OnnxNode['attrs'][string] {
  if (typeof value !== 'object' || !('kind' in value) || value.kind !== 'graph') return value;
  const outputs = value.outputs.map((o) => ({ ...o, name: names.get(o.name) ?? o.name }));
  return { ...value, nodes: rename(value.nodes, names), outputs };
}
