import { isStatic, sizeOf } from '../dim.js';
import { Graph, isOp, makeNode, type Node, type Tensor, topoSort } from '../graph.js';
import * as ir from '../ir.js';
import type { PrimName, Target } from '../prims.js';
import { evaluate, toNDArray } from '../reference/index.js';
import { expandAll } from './expand.js';
import { attrsKey } from './key.js';
import { rewrite } from './rewrite.js';
import { mergeScalars } from './scalars.js';
import { constantValue, pruneScan, simplifyNode } from './simplify.js';
import { pushSplits } from './splits.js';
import { transposeLeft } from './transposeLeft.js';

/** Constants are folded up to this many elements; larger ones are cheaper to compute than to store. */
const foldLimit = 65_536;
const neverFold: ReadonlySet<PrimName> = new Set(['input', 'constant', 'dimValue', 'threefry', 'call', 'scan', 'broadcastTo', 'iota']);

/** The value of a node all of whose inputs are constants, computed in float64 by the reference interpreter. */
function fold(node: Node): readonly Tensor[] | undefined {
  if (neverFold.has(node.op) || node.inputs.length === 0) return undefined;
  if (!node.inputs.every((t) => t.node.op === 'constant')) return undefined;
  if (!node.outs.every((t) => isStatic(t.shape) && (sizeOf(t.shape) as number) <= foldLimit)) return undefined;
  if (node.inputs.some((t) => (sizeOf(t.shape) as number) > foldLimit)) return undefined;
  return evaluate(new Graph([], node.outs), []).map((value) => ir.constantOf(toNDArray(value)));
}

/** Folds a constant factor into the product's alpha where the unscaled product has no other use. */
function foldAlpha(outputs: readonly Tensor[]): Tensor[] {
  const uses = new Map<Node, number>();
  const count = (t: Tensor): void => void uses.set(t.node, (uses.get(t.node) ?? 0) + 1);
  for (const node of topoSort(outputs)) node.inputs.forEach(count);
  outputs.forEach(count);
  return rewrite(outputs, (node, inputs) => {
    if (node.op !== 'mul') return undefined;
    for (const [product, factor, original] of [
      [inputs[0], inputs[1], node.inputs[0]],
      [inputs[1], inputs[0], node.inputs[1]],
    ] as readonly [Tensor, Tensor, Tensor][]) {
      const value = constantValue(factor);
      if (
        value === undefined ||
        !isOp(product.node, 'matmul') ||
        uses.get(original.node) !== 1 ||
        factor.shape.length > product.shape.length
      )
        continue;
      return makeNode('matmul', product.node.inputs, { ...product.node.attrs, alpha: product.node.attrs.alpha * value }, product.node.trace)
        .outs;
    }
    return undefined;
  });
}

/** Simplification, constant folding and common-subexpression elimination in one walk; dead code falls away by itself. */
function simplifyAll(outputs: readonly Tensor[], target: Target): Tensor[] {
  const used = new Set<Tensor>(outputs);
  for (const node of topoSort(outputs)) for (const t of node.inputs) used.add(t);
  const known = new Map<string, Node>();
  const merge = (node: Node): readonly Tensor[] => {
    if (node.op === 'input') return node.outs;
    const key = `${attrsKey(node)}(${node.inputs.map((t) => `${t.node.id}.${t.index}`).join()})`;
    const first = known.get(key);
    if (!first) known.set(key, node);
    return (first ?? node).outs;
  };
  return rewrite(outputs, (node, inputs) => {
    const better = simplifyNode(node, inputs, target);
    if (better) return better.length === 1 ? settle(better[0] as Tensor) : better;
    const next = inputs.every((t, i) => t === node.inputs[i]) ? node : makeNode(node.op, inputs, node.attrs, node.trace);
    return prunedScan(node, next) ?? fold(next) ?? merge(next);
  });

  /** A scan without the results that nobody reads; these keep their places, unread. */
  function prunedScan(original: Node, node: Node): readonly Tensor[] | undefined {
    if (!isOp(node, 'scan')) return undefined;
    const pruned = pruneScan(node, new Set(node.outs.filter((_, i) => used.has(original.out(i)))));
    if (!pruned) return undefined;
    const outs = merge(pruned as unknown as Node);
    let at = 0;
    return original.outs.map((t, i) => (i < pruned.attrs.numCarries || used.has(t) ? (outs[at++] as Tensor) : t));
  }

  /** New nodes of a simplification join the table as well; their inputs were visited before. */
  function settle(t: Tensor): readonly Tensor[] {
    return t.node.outs.length === 1 ? (fold(t.node) ?? merge(t.node)) : [t];
  }
}

/**
 * Expands composites for the target, then simplifies until nothing changes (at most a few rounds).
 * Bodies of scans are optimised by themselves; those of calls are graphs of their own by now.
 */
export function optimize(outputs: readonly Tensor[], target: Target, isNative: (node: Node, target: Target) => boolean): Tensor[] {
  let current = expandAll(outputs, target, isNative);
  if (target !== 'generic') current = mergeScalars(pushSplits(simplifyAll(current, target)));
  let size = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round++) {
    current = foldAlpha(simplifyAll(current, target));
    const next = topoSort(current).length;
    if (next >= size) break;
    size = next;
  }
  current = optimizeBodies(current, target, isNative);
  // Last, since simplification would fold the transposes back into the products.
  return target === 'cpu' ? transposeLeft(current) : current;
}

const optimizeBodies: typeof optimize = (outputs, target, isNative) =>
  rewrite(outputs, (node, inputs) => {
    if (!isOp(node, 'scan')) return undefined;
    const { body } = node.attrs;
    const optimized = optimize(body.outputs, target, isNative);
    if (optimized.every((t, i) => t === body.outputs[i])) return undefined;
    return makeNode('scan', inputs, { ...node.attrs, body: new Graph(body.inputs, optimized) }, node.trace).outs;
  });
