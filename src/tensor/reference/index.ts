import { bindDim, evalShape, shapeStr, symbolsOf } from '../dim.js';
import { VitroError } from '../errors.js';
import { type Graph, type Node, type Tensor, topoSort } from '../graph.js';
import type { PrimName } from '../prims.js';
import { attentionRules } from './attention.js';
import { contractRules } from './contract.js';
import { elementwiseRules } from './elementwise.js';
import { lossRules } from './loss.js';
import { movementRules } from './movement.js';
import { nnRules } from './nn.js';
import { reduceRules } from './reduce.js';
import type { RefArray } from './refArray.js';
import type { RefContext, ReferenceRules } from './rule.js';
import { structureRules } from './structure.js';

export { fromNDArray, type RefArray, refArray, refScalar, refZeros, toNDArray } from './refArray.js';

/** The meaning of every primitive and composite in float64, independent of ONNX Runtime and of the composites' expansions. */
export const referenceRules: ReferenceRules<PrimName> = {
  ...elementwiseRules,
  ...reduceRules,
  ...movementRules,
  ...contractRules,
  ...nnRules,
  ...attentionRules,
  ...lossRules,
  ...structureRules,
};

const str = (a: RefArray): string => `${a.dtype}[${a.shape.join(', ')}]`;

/**
 * Evaluates a graph in float64: the judge of every other executor. Inputs stand in the order of `graph.inputs`.
 * Symbolic dimensions are bound from the inputs' shapes where a declared dimension is a plain symbol; `symbols` gives the others.
 * Each result is checked against the shape and dtype that the node declares. Out-of-range indices throw OpError.
 */
export function evaluate(graph: Graph, inputs: readonly RefArray[], symbols: ReadonlyMap<string, number> = new Map()): RefArray[] {
  const bound = bindSymbols(graph, inputs, symbols);
  const values = new Map<Node, readonly RefArray[]>();
  graph.inputs.forEach((t, i) => {
    values.set(t.node, [inputs[i] as RefArray]);
  });
  const ctx: RefContext = { symbols: bound, evaluate: (body, args) => evaluate(body, args, bound) };
  const lookup = (t: Tensor): RefArray => values.get(t.node)?.[t.index] as RefArray;
  for (const node of topoSort(graph.outputs)) if (!values.has(node)) values.set(node, applyRule(ctx, node, node.inputs.map(lookup)));
  return graph.outputs.map(lookup);
}

function applyRule<K extends PrimName>(ctx: RefContext, node: Node<K>, inputs: readonly RefArray[]): RefArray[] {
  const outs = referenceRules[node.op](ctx, node, inputs);
  if (outs.length !== node.outs.length)
    throw new VitroError(`reference ${node}: gave ${outs.length} outputs, declared ${node.outs.length}`);
  node.outs.forEach((t, i) => {
    const out = outs[i] as RefArray;
    const shape = evalShape(t.shape, ctx.symbols);
    if (out.dtype !== t.dtype || !sameShape(out.shape, shape))
      throw new VitroError(`reference ${node}: output ${i} is ${str(out)}, but the graph declares ${t.dtype}[${shape.join(', ')}]`);
  });
  return outs;
}

const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

/** Values of the symbols in the inputs' declared shapes; throws where an input contradicts its declaration. */
function bindSymbols(graph: Graph, inputs: readonly RefArray[], given: ReadonlyMap<string, number>): Map<string, number> {
  if (inputs.length !== graph.inputs.length)
    throw new VitroError(`evaluate: the graph takes ${graph.inputs.length} inputs, got ${inputs.length}`);
  const bound = new Map(given);
  const label = (i: number): string => `input ${i} (${nameOf(graph.inputs[i] as Tensor)})`;
  graph.inputs.forEach((t, i) => {
    const value = inputs[i] as RefArray;
    if (value.dtype !== t.dtype || value.shape.length !== t.shape.length)
      throw new VitroError(`evaluate: ${label(i)} is ${str(value)}, declared ${t.dtype}${shapeStr(t.shape)}`);
  });
  // Twice: a size that stands for several symbols tells one of them once the others are known.
  for (let pass = 0; pass < 2; pass++)
    graph.inputs.forEach((t, i) => {
      t.shape.forEach((dim, axis) => {
        if (typeof dim !== 'number') bindDim(dim, inputs[i]?.shape[axis] as number, bound);
      });
    });
  graph.inputs.forEach((t, i) => {
    const value = inputs[i] as RefArray;
    if (!sameShape(evalShape(t.shape, bound), value.shape)) {
      const where = [...symbolsOf(t.shape)].map((name) => `${name} = ${bound.get(name)}`).join(', ');
      throw new VitroError(`evaluate: ${label(i)} is ${str(value)}, declared ${t.dtype}${shapeStr(t.shape)}${where && ` with ${where}`}`);
    }
  });
  return bound;
}

const nameOf = (t: Tensor): string => ('name' in t.node.attrs ? t.node.attrs.name : t.node.op);
