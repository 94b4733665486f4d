import { type Dim, type Shape, shapeEq, sizeOf } from '../dim.js';
import { Graph, isOp, makeNode, type Node, type Tensor, topoSort } from '../graph.js';
import * as ir from '../ir.js';
import { arithmeticNames, comparisonNames, type PrimName, type Target } from '../prims.js';

/** Operations that broadcast their operands by themselves. */
const broadcasting: ReadonlySet<PrimName> = new Set([...arithmeticNames, ...comparisonNames, 'where']);

/** The number of a one-element constant. */
export function constantValue(t: Tensor): number | undefined {
  if (!isOp(t.node, 'constant')) return undefined;
  const { value } = t.node.attrs;
  return value.size === 1 ? value.toNumbers()[0] : undefined;
}

function broadcast(shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((s) => s[s.length - rank + i] ?? 1);
    return dims.find((d) => d !== 1) ?? 1;
  });
}

/** Broadcasting is implicit in elementwise operations: drops it where the result's shape does not need it. */
function dropBroadcasts(node: Node, inputs: readonly Tensor[]): readonly Tensor[] | undefined {
  if (!broadcasting.has(node.op) || !inputs.some((t) => t.node.op === 'broadcastTo')) return undefined;
  const shape = node.out().shape;
  const slim = [...inputs];
  for (let i = 0; i < slim.length; i++) {
    const t = slim[i] as Tensor;
    if (t.node.op !== 'broadcastTo') continue;
    const candidate = slim.map((u, j) => (j === i ? (t.node.inputs[0] as Tensor) : u));
    if (shapeEq(broadcast(candidate.map((u) => u.shape)), shape)) slim[i] = t.node.inputs[0] as Tensor;
  }
  return slim.some((t, i) => t !== inputs[i]) ? makeNode(node.op, slim, node.attrs, node.trace).outs : undefined;
}

/** Folds a transpose of the last two axes into the flag of the product. */
function foldTranspose(node: Node<'matmul'>, inputs: readonly Tensor[]): readonly Tensor[] | undefined {
  let { transA, transB } = node.attrs;
  const [a, b] = inputs.map((t, i) => {
    if (!isOp(t.node, 'transpose')) return t;
    const { perm } = t.node.attrs;
    const n = perm.length;
    const swapsLast = perm.every((p, axis) => p === (axis === n - 1 ? n - 2 : axis === n - 2 ? n - 1 : axis));
    if (!swapsLast) return t;
    if (i === 0) transA = !transA;
    else transB = !transB;
    return t.node.inputs[0] as Tensor;
  }) as [Tensor, Tensor];
  if (a === inputs[0] && b === inputs[1]) return undefined;
  return makeNode('matmul', [a, b], { ...node.attrs, transA, transB }, node.trace).outs;
}

/** A transpose that leaves the order of elements as it is: where only axes of size 1 change their places, a reshape does it without a copy. */
function transposeInPlace({ attrs: { perm }, outs }: Node<'transpose'>, x: Tensor): readonly Tensor[] | undefined {
  if (perm.every((p, i) => p === i)) return [x];
  const moved = perm.filter((p) => x.shape[p] !== 1);
  return moved.every((p, i) => i === 0 || p > (moved[i - 1] as number)) ? [ir.reshape(x, (outs[0] as Tensor).shape)] : undefined;
}

const isFullSlice = (node: Node<'slice'>, x: Tensor): boolean =>
  node.attrs.steps.every((s) => s === 1) && node.attrs.starts.every((s) => s === 0) && shapeEq(node.attrs.limits, x.shape);

/** Leaves out the per-step results of a scan that nobody reads (as the carries kept for a gradient), and operands that its body does not read. */
export function pruneScan(node: Node<'scan'>, used: ReadonlySet<Tensor>): Node<'scan'> | undefined {
  const { body, numConsts, numCarries } = node.attrs;
  const first = numConsts + numCarries;
  const outputs = body.outputs.filter((_, i) => i < numCarries || used.has(node.outs[i] as Tensor));
  const read = new Set<Tensor>(outputs);
  for (const n of topoSort(outputs)) for (const t of n.inputs) read.add(t);
  const keep = body.inputs.map((t, i) => (i >= numConsts && i < first) || read.has(t));
  // The length of some operand tells the number of steps.
  if (!keep.slice(first).includes(true)) keep[first] = true;
  if (outputs.length === body.outputs.length && keep.every(Boolean)) return undefined;
  const kept = <T>(list: readonly T[]): T[] => list.filter((_, i) => keep[i]);
  const attrs = { ...node.attrs, body: new Graph(kept(body.inputs), outputs), numConsts: kept(body.inputs.slice(0, numConsts)).length };
  return makeNode('scan', kept(node.inputs), attrs, node.trace);
}

/** An equivalent, cheaper form of a node over its (already rewritten) inputs, or undefined. */
export function simplifyNode(node: Node, inputs: readonly Tensor[], target: Target): readonly Tensor[] | undefined {
  const [x, y] = inputs as readonly [Tensor, Tensor];
  const shape = node.outs[0]?.shape as Shape;
  const same = (t: Tensor): readonly Tensor[] | undefined => (shapeEq(t.shape, shape) && t.dtype === node.out().dtype ? [t] : undefined);
  switch (node.op) {
    case 'reshape':
      if (shapeEq(x.shape, shape)) return [x];
      return x.node.op === 'reshape' ? [ir.reshape(x.node.inputs[0] as Tensor, shape)] : undefined;
    case 'broadcastTo':
      return same(x);
    case 'cast':
      return same(x);
    case 'stopGradient':
      return [x];
    case 'transpose':
      return isOp(node, 'transpose') ? transposeInPlace(node, x) : undefined;
    case 'slice':
      return isOp(node, 'slice') && isFullSlice(node, x) ? [x] : undefined;
    case 'pad':
      return isOp(node, 'pad') && [...node.attrs.low, ...node.attrs.high].every((p) => p === 0) ? [x] : undefined;
    case 'concat':
      return inputs.length === 1 ? [x] : undefined;
    case 'customVjp':
      return isOp(node, 'customVjp') ? inputs.slice(node.attrs.numArgs, node.attrs.numArgs + node.attrs.numOuts) : undefined;
    case 'neg':
      return x.node.op === 'neg' ? [x.node.inputs[0] as Tensor] : undefined;
    case 'add':
      if (constantValue(y) === 0) return same(x) ?? dropBroadcasts(node, inputs);
      if (constantValue(x) === 0) return same(y) ?? dropBroadcasts(node, inputs);
      return addScatter(x, y, target) ?? dropBroadcasts(node, inputs);
    case 'sub':
      return constantValue(y) === 0 ? (same(x) ?? dropBroadcasts(node, inputs)) : dropBroadcasts(node, inputs);
    case 'mul':
      if (constantValue(y) === 1) return same(x) ?? dropBroadcasts(node, inputs);
      if (constantValue(x) === 1) return same(y) ?? dropBroadcasts(node, inputs);
      return dropBroadcasts(node, inputs);
    case 'div':
      return constantValue(y) === 1 ? (same(x) ?? dropBroadcasts(node, inputs)) : dropBroadcasts(node, inputs);
    case 'pow': {
      const exponent = constantValue(y);
      if (exponent === 1) return same(x);
      if (exponent === 2 && shapeEq(x.shape, shape)) return [ir.mul(x, x)];
      if (exponent === 0.5 && shapeEq(x.shape, shape)) return [ir.sqrt(x)];
      return dropBroadcasts(node, inputs);
    }
    case 'matmul':
      return isOp(node, 'matmul') ? foldTranspose(node, inputs) : undefined;
    default:
      return dropBroadcasts(node, inputs);
  }
}

/** base + scatterAdd(indices, updates): scatters straight into the base instead of into zeros that are added afterwards. */
function addScatter(a: Tensor, b: Tensor, target: Target): readonly Tensor[] | undefined {
  if (target === 'generic') return undefined;
  const [base, scatter] = isOp(b.node, 'scatterAdd') ? [a, b] : [b, a];
  if (!isOp(scatter.node, 'scatterAdd') || base.node.op === 'input' || !shapeEq(base.shape, scatter.shape) || scatter.shape.length !== 2)
    return undefined;
  const { axis } = scatter.node.attrs;
  const [indices, updates] = scatter.node.inputs as readonly [Tensor, Tensor];
  if (axis !== 0) return undefined;
  const rows = ir.reshape(updates, [sizeOf(indices.shape), base.shape[1] as Dim]);
  const index = ir.broadcastTo(ir.reshape(indices, [rows.shape[0] as Dim, 1]), rows.shape);
  return [ir.scatterAlong(base, index, rows, 0, 'add')];
}
