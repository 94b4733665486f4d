import { shapeEq, sizeOf } from '../dim.js';
import { getOrMake } from '../getOrMake.js';
import { isOp, type Node, type Tensor, topoSort } from '../graph.js';
import * as ir from '../ir.js';
import { rewrite } from './rewrite.js';

const isScalar = (t: Tensor): boolean => t.shape.length === 0;
const isLarge = (t: Tensor): boolean => sizeOf(t.shape) !== 1;

/** A value that is a tensor times a scalar. */
interface Scaled {
  readonly x: Tensor;
  readonly s: Tensor;
}

function scaled(t: Tensor): Scaled | undefined {
  if (!isOp(t.node, 'mul')) return undefined;
  const [a, b] = t.node.inputs as readonly [Tensor, Tensor];
  if (isScalar(b) && isLarge(a)) return { x: a, s: b };
  return isScalar(a) && isLarge(b) ? { x: b, s: a } : undefined;
}

/** x s, with a scalar that x already carries drawn into the factor. */
function times(x: Tensor, s: Tensor): Tensor {
  const inner = scaled(x);
  return inner ? ir.mul(inner.x, ir.mul(inner.s, s)) : ir.mul(x, s);
}

/** p + (u + p w) s = p (1 + w s) + u s: a decay towards zero as one factor. */
function joinDecay(p: Tensor, step: Tensor): Tensor | undefined {
  const outer = scaled(step);
  if (!outer || !isOp(outer.x.node, 'add')) return undefined;
  const [left, right] = outer.x.node.inputs as readonly [Tensor, Tensor];
  for (const [u, pw] of [
    [left, right],
    [right, left],
  ] as const) {
    const weighted = scaled(pw);
    if (weighted?.x !== p) continue;
    return ir.add(ir.mul(p, ir.add(ir.scalar(1), ir.mul(weighted.s, outer.s))), scaleQuotient(u, outer.s));
  }
  return undefined;
}

/** (x / y) s = (x s) / y, so that the factor meets those of x. */
function scaleQuotient(t: Tensor, s: Tensor): Tensor {
  if (!isOp(t.node, 'div')) return times(t, s);
  const [top, bottom] = t.node.inputs as readonly [Tensor, Tensor];
  return isLarge(bottom) && shapeEq(top.shape, t.shape) ? ir.div(times(top, s), bottom) : times(t, s);
}

/**
 * Multiplies the scalar factors of elementwise chains with each other first, so that an optimizer's clipping scale, decay rates and learning
 * rate cost one pass over a parameter together and not one each. A factor moves only where the value that carried it has no other kind of use.
 */
export function mergeScalars(outputs: readonly Tensor[]): Tensor[] {
  const returned = new Set(outputs);
  const readers = new Map<Tensor, Node[]>();
  for (const node of topoSort(outputs)) for (const t of new Set(node.inputs)) getOrMake(readers, t, () => [] as Node[]).push(node);

  const absorbs = (n: Node): boolean => n.op === 'mul' && (n.inputs[0] === n.inputs[1] || n.inputs.some(isScalar));
  /** every reader takes the factor over, so that the value itself falls away */
  const vanishes = (t: Tensor): boolean => !returned.has(t) && (readers.get(t) ?? []).every(absorbs);
  const single = (t: Tensor): boolean => !returned.has(t) && readers.get(t)?.length === 1;

  return rewrite(outputs, (node, inputs) => {
    const [a, b] = inputs as readonly [Tensor, Tensor];
    const [before, after] = node.inputs as readonly [Tensor, Tensor];
    // The division of integers truncates.
    if (node.outs[0]?.dtype !== 'f32') return undefined;
    if (node.op === 'mul' && a === b) {
      const inner = scaled(a);
      return inner && vanishes(before) ? [ir.mul(ir.mul(inner.x, inner.x), ir.mul(inner.s, inner.s))] : undefined;
    }
    if (node.op === 'mul' && isScalar(b) !== isScalar(a)) {
      const [x, s, original] = isScalar(b) ? [a, b, before] : [b, a, after];
      if (!isLarge(x)) return undefined;
      if (isOp(x.node, 'div')) return single(original) ? [scaleQuotient(x, s)] : undefined;
      return scaled(x) && vanishes(original) ? [times(x, s)] : undefined;
    }
    if (node.op === 'add' && isLarge(a) && shapeEq(a.shape, b.shape)) {
      const joined = (single(after) ? joinDecay(a, b) : undefined) ?? (single(before) ? joinDecay(b, a) : undefined);
      return joined ? [joined] : undefined;
    }
    return undefined;
  });
}
