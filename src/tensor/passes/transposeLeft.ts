import { getOrMake } from '../getOrMake.js';
import { isOp, makeNode, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import { rewrite } from './rewrite.js';

/** Below this many rows the transpose costs more than it saves. */
const minimumRows = 512;
/** Products with a vector are limited by memory, not by how the kernel walks the operand. */
const minimumWidth = 64;

/**
 * Weight gradients a^T b of tall a and b: the CPU kernel reads a transposed left operand about a quarter slower than a plain one, so the narrower of the
 * two is transposed first (if that is b, the result is turned back). Products that share a left operand share its transpose.
 */
export function transposeLeft(outputs: readonly Tensor[]): Tensor[] {
  const turned = new Map<Tensor, Tensor>();
  const turn = (t: Tensor): Tensor => getOrMake(turned, t, () => ir.transpose(t, [1, 0]));
  return rewrite(outputs, (node, inputs) => {
    if (!isOp(node, 'matmul') || !node.attrs.transA || node.attrs.transB) return undefined;
    const [a, b] = inputs as readonly [Tensor, Tensor];
    const [rows, width] = a.shape;
    const other = b.shape[1];
    if (a.shape.length !== 2 || b.shape.length !== 2 || typeof width !== 'number' || typeof other !== 'number') return undefined;
    if ((typeof rows === 'number' && rows < minimumRows) || Math.min(width, other) < minimumWidth) return undefined;
    const attrs = { ...node.attrs, transA: false };
    if (width <= other) return makeNode('matmul', [turn(a), b], attrs, node.trace).outs;
    return [ir.transpose(makeNode('matmul', [turn(b), a], attrs, node.trace).out(), [1, 0])];
  });
}
