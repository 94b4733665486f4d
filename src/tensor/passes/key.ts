import { NDArray } from '../array.js';
import { SymDim } from '../dim.js';
import { getOrMake } from '../getOrMake.js';
import { Graph, type Node, type Tensor, topoSort } from '../graph.js';

const identities = new WeakMap<object, number>();
let nextIdentity = 0;
/** A number that stands for an object's identity. */
function identity(object: object): number {
  return getOrMake(identities, object, () => nextIdentity++);
}

/** Constants up to this many elements are compared by content, larger ones by identity. */
const contentLimit = 4096;

/** Not cached: the array may have been changed since it was last compiled in. */
function arrayKey({ dtype, shape, data }: NDArray): string {
  return `${dtype}[${shape}]${data.length <= contentLimit ? bytesText(data) : `@${identity(data)}`}`;
}

const bytesText = (data: ArrayBufferView): string => {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let out = '';
  for (let i = 0; i < bytes.length; i += 4096) out += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return out;
};

const graphKeys = new WeakMap<Graph, string>();

function valueKey(value: unknown): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (value instanceof SymDim) return value.key;
  if (value instanceof NDArray) return arrayKey(value);
  if (value instanceof Graph) {
    return getOrMake(graphKeys, value, () => `(${graphKey(value.inputs, value.outputs)})`);
  }
  if (typeof value === 'function') return `@${identity(value)}`;
  if (Array.isArray(value)) return `[${value.map(valueKey).join(',')}]`;
  return String(value);
}

/** Text that two nodes share exactly when they apply the same primitive with the same attributes. */
export function attrsKey(node: Node): string {
  let key: string = node.op;
  for (const [name, value] of Object.entries(node.attrs)) {
    // A label is for people, and a lowered customVjp is an identity whatever its backward rule.
    if (name === 'label' || name === 'backward') continue;
    key += `;${name}=${valueKey(value)}`;
  }
  return key;
}

/** Canonical text of a graph: equal for structurally equal graphs, whatever the names of inputs and the ids of nodes. */
export function graphKey(inputs: readonly Tensor[], outputs: readonly Tensor[]): string {
  const place = new Map<Node, number>();
  const parts: string[] = [];
  inputs.forEach((t, i) => {
    place.set(t.node, i);
    parts.push(`i${t.dtype}[${t.shape}]`);
  });
  const ref = (t: Tensor): string => `${place.get(t.node)}${t.index ? `.${t.index}` : ''}`;
  for (const node of topoSort(outputs)) {
    if (place.has(node)) continue;
    place.set(node, place.size);
    parts.push(node.op === 'input' ? `free@${node.id}` : `${attrsKey(node)}(${node.inputs.map(ref).join(',')})`);
  }
  return `${parts.join('\n')}\n=> ${outputs.map(ref).join(',')}`;
}
