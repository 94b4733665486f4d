import { evalShape, isStatic } from '../dim.js';
import { dtypeInfo } from '../dtype.js';
import { type Graph, isOp, type Node, type Tensor, topoSort } from '../graph.js';

export interface Cost {
  /** floating-point operations; a multiply-add counts two */
  readonly flops: number;
  /** bytes of operands and results, each counted once */
  readonly bytes: number;
}

type Symbols = ReadonlyMap<string, number>;
const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const sizeAt = (t: Tensor, symbols: Symbols): number => count(evalShape(t.shape, symbols));

function flopsOf(node: Node, symbols: Symbols): number {
  const out = node.outs[0] ? sizeAt(node.outs[0], symbols) : 0;
  const shapeOf = (i: number): number[] => evalShape((node.inputs[i] as Tensor).shape, symbols);
  if (isOp(node, 'matmul')) return 2 * out * (shapeOf(0).at(node.attrs.transA ? -2 : -1) as number);
  if (isOp(node, 'conv1d')) return 2 * out * count(shapeOf(1).slice(1));
  if (isOp(node, 'quantMatmul')) return 2 * out * (shapeOf(0).at(-1) as number);
  if (isOp(node, 'cachedAttention')) return 4 * count(shapeOf(0)) * (shapeOf(3)[2] as number);
  switch (node.op) {
    case 'input':
    case 'constant':
    case 'iota':
    case 'dimValue':
    case 'reshape':
    case 'transpose':
    case 'broadcastTo':
    case 'slice':
    case 'pad':
    case 'concat':
    case 'gather':
    case 'takeAlong':
    case 'stopGradient':
    case 'cast':
      return 0;
    case 'sum':
    case 'reduceMax':
    case 'reduceMin':
    case 'reduceProd':
    case 'argmax':
      return sizeAt(node.inputs[0] as Tensor, symbols);
    case 'softmax':
    case 'logSoftmax':
      return 5 * out;
    case 'rmsNorm':
    case 'layerNorm':
      return 5 * out;
    default:
      return out;
  }
}

/** Operations and traffic of one node under given sizes. */
export function costOf(node: Node, symbols: Symbols = new Map()): Cost {
  const ports = [...new Set(node.inputs), ...node.outs];
  const bytes = node.op === 'input' ? 0 : ports.reduce((n, t) => n + sizeAt(t, symbols) * dtypeInfo[t.dtype].bytes, 0);
  return { flops: flopsOf(node, symbols), bytes };
}

/** Operations plus bytes up to which a graph counts as trivial, and what dispatching an operation costs in that unit: some ten microseconds in all. */
const trivialWork = 50_000;
const dispatchWork = 2000;

/** Whether a run takes but a few microseconds, so that handing it to another thread would cost more than it blocks. */
export function isTrivial(graph: Graph): boolean {
  let work = 0;
  for (const node of topoSort(graph.outputs)) {
    if (!node.outs.every((t) => isStatic(t.shape))) return false;
    const { flops, bytes } = costOf(node);
    work += flops + bytes + (node.op === 'input' ? 0 : dispatchWork);
    if (work > trivialWork) return false;
  }
  return true;
}
