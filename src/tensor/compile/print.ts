import { NDArray } from '../array.js';
import { shapeStr } from '../dim.js';
import { getOrMake } from '../getOrMake.js';
import { Graph, type Tensor, topoSort } from '../graph.js';

function attr(value: unknown): string {
  if (value instanceof NDArray) return value.size === 1 ? String(value.toNumbers()[0]) : `${value.dtype}[${value.shape.join(', ')}]`;
  if (value instanceof Graph) return `graph of ${topoSort(value.outputs).length}`;
  if (typeof value === 'function') return 'function';
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

/** One line an operation: `%3 f32[8, 256] = matmul(%1, %2) transB=true`. */
export function printGraph(graph: Graph, label = 'graph'): string {
  const names = new Map<Tensor, string>();
  let next = 0;
  const name = (t: Tensor): string => {
    return getOrMake(names, t, () => `%${next++}`);
  };
  const declared = (t: Tensor): string => `${name(t)} ${t.dtype}${shapeStr(t.shape)}`;
  const lines = [`${label}(${graph.inputs.map(declared).join(', ')})`];
  for (const node of topoSort(graph.outputs)) {
    if (node.op === 'input') continue;
    const attrs = Object.entries(node.attrs).map(([k, v]) => ` ${k}=${attr(v)}`);
    lines.push(`  ${node.outs.map(declared).join(', ')} = ${node.op}(${node.inputs.map(name).join(', ')})${attrs.join('')}`);
  }
  lines.push(`  return ${graph.outputs.map(name).join(', ')}`);
  return lines.join('\n');
}
