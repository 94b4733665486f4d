import { type Dim, dimAdd, dimEq, dimMul, dimSub, type Shape, shapeEq, sizeOf } from '../dim.js';
import { getOrMake } from '../getOrMake.js';
import { apply, isOp, makeNode, type Node, type Tensor, topoSort } from '../graph.js';
import * as ir from '../ir.js';
import { rewrite } from './rewrite.js';

/** A slice that restricts one axis, with step 1. */
interface Range {
  readonly axis: number;
  readonly start: Dim;
  readonly limit: Dim;
}

function rangeOf(node: Node<'slice'>): Range | undefined {
  const { starts, limits, steps } = node.attrs;
  const { shape } = node.inputs[0] as Tensor;
  if (steps.some((s) => s !== 1)) return undefined;
  const cut = shape.flatMap((d, i) => (starts[i] === 0 && dimEq(limits[i] as Dim, d) ? [] : [i]));
  const axis = cut[0];
  return cut.length === 1 && axis !== undefined ? { axis, start: starts[axis] as Dim, limit: limits[axis] as Dim } : undefined;
}

type Users = ReadonlyMap<Tensor, readonly Node[]>;

function usersOf(outputs: readonly Tensor[]): Users {
  const users = new Map<Tensor, Node[]>();
  for (const node of topoSort(outputs)) for (const t of new Set(node.inputs)) getOrMake(users, t, () => [] as Node[]).push(node);
  return users;
}

/** The axis of `from` that the axis `axis` of `to` is the major part of when a value of shape `from` is read as `to`, and the stride within it. */
function majorPart(from: Shape, to: Shape, axis: number): { axis: number; inner: Dim } | undefined {
  const before = sizeOf(to.slice(0, axis));
  const at = from.findIndex((_, i) => dimEq(sizeOf(from.slice(0, i)), before) && from[i] !== 1);
  if (at < 0) return undefined;
  const rest = sizeOf(from.slice(at + 1));
  for (let end = axis + 1; end <= to.length; end++) {
    if (!dimEq(sizeOf(to.slice(axis, end)), from[at] as Dim) || !dimEq(sizeOf(to.slice(end)), rest)) continue;
    return { axis: at, inner: sizeOf(to.slice(axis + 1, end)) };
  }
  return undefined;
}

/** Moves a slice in front of the operation that made its operand, if all of that operand's users take slices of the same axis. */
function sinkSlice(node: Node<'slice'>, x: Tensor, users: Users): Tensor | undefined {
  const original = node.inputs[0] as Tensor;
  const range = rangeOf(node);
  const readers = users.get(original) ?? [];
  if (!range || readers.length < 2) return undefined;
  const sameAxis = readers.every((n) => isOp(n, 'slice') && rangeOf(n)?.axis === range.axis);
  if (!sameAxis) return undefined;
  const source = x.node;
  const operand = source.inputs[0] as Tensor;
  if (isOp(source, 'transpose')) {
    const { perm } = source.attrs;
    return ir.transpose(ir.sliceAxis(operand, perm[range.axis] as number, range.start, range.limit), perm);
  }
  if (isOp(source, 'reshape')) {
    const part = majorPart(operand.shape, x.shape, range.axis);
    if (!part) return undefined;
    const cut = ir.sliceAxis(operand, part.axis, dimMul(range.start, part.inner), dimMul(range.limit, part.inner));
    return ir.reshape(cut, node.out().shape);
  }
  if (isOp(source, 'matmul') && range.axis === x.shape.length - 1) {
    const [a, b] = source.inputs as readonly [Tensor, Tensor];
    // Worth it where the product has more rows than its right operand: cutting that operand is cheaper than cutting the result.
    // A constant weight is better left whole than cut at every run.
    if (b.shape.length !== 2 || b.node.op === 'constant' || !manyRows(x.shape, a.shape.at(source.attrs.transA ? -2 : -1) as Dim))
      return undefined;
    const columns = ir.sliceAxis(b, source.attrs.transB ? 0 : 1, range.start, range.limit);
    return makeNode('matmul', [a, columns], source.attrs, source.trace).out();
  }
  return undefined;
}

const manyRows = (shape: Shape, inner: Dim): boolean => {
  const rows = sizeOf(shape.slice(0, -1));
  return typeof inner === 'number' && (typeof rows !== 'number' || rows > inner);
};

/** Offsets of a concatenation's operands along its axis. */
function offsets(parts: readonly Tensor[], axis: number): Dim[] {
  const out: Dim[] = [0];
  for (const t of parts) out.push(dimAdd(out.at(-1) as Dim, t.shape[axis] as Dim));
  return out;
}

/** Operations that can be applied to the operands of a concatenation instead. */
const canTakeParts: ReadonlySet<string> = new Set(['transpose', 'reshape', 'matmul']);

/** Moves a concatenation behind transpose, reshape and matmul, so that the joined value need not exist. */
function raiseConcat(node: Node, inputs: readonly Tensor[], users: Users): Tensor | undefined {
  const joined = inputs.find((t) => t.node.op === 'concat');
  if (!joined || !isOp(joined.node, 'concat')) return undefined;
  const { axis } = joined.node.attrs;
  const parts = joined.node.inputs;
  const readers = users.get(node.inputs[inputs.indexOf(joined)] as Tensor) ?? [];
  if (!readers.every((n) => canTakeParts.has(n.op))) return undefined;
  if (isOp(node, 'transpose')) {
    const { perm } = node.attrs;
    return ir.concat(
      parts.map((t) => ir.transpose(t, perm)),
      perm.indexOf(axis),
    );
  }
  if (isOp(node, 'reshape')) {
    const { shape } = node.attrs;
    const part = majorPart(shape, joined.shape, axis);
    if (!part) return undefined;
    const sized = (t: Tensor): Shape => shape.map((d, i) => (i === part.axis ? dimMul(t.shape[axis] as Dim, part.inner) : d));
    return ir.concat(
      parts.map((t) => ir.reshape(t, sized(t))),
      part.axis,
    );
  }
  if (isOp(node, 'matmul')) {
    const [a, b] = inputs as readonly [Tensor, Tensor];
    const { transA, transB, alpha } = node.attrs;
    const at = offsets(parts, axis);
    if (joined === a && a !== b && !transA && axis === a.shape.length - 1 && b.shape.length === 2) {
      const kAxis = transB ? 1 : 0;
      return parts.map((t, i) => ir.matmul(t, ir.sliceAxis(b, kAxis, at[i] as Dim, at[i + 1] as Dim), { transB, alpha })).reduce(ir.add);
    }
    if (joined === b && a !== b && !transB && axis === b.shape.length - 1)
      return ir.concat(
        parts.map((t) => ir.matmul(a, t, { transA, alpha })),
        node.out().shape.length - 1,
      );
  }
  return undefined;
}

/** x padded with zeros along one axis only: the value and where it lies. */
function padded(t: Tensor): { x: Tensor; axis: number; low: number; high: number } | undefined {
  if (!isOp(t.node, 'pad') || t.node.attrs.value !== 0) return undefined;
  const { low, high } = t.node.attrs;
  const axes = low.flatMap((l, i) => (l || high[i] ? [i] : []));
  const axis = axes[0];
  if (axes.length !== 1 || axis === undefined) return undefined;
  return { x: t.node.inputs[0] as Tensor, axis, low: low[axis] as number, high: high[axis] as number };
}

/** Two adjoints of neighbouring slices add up to their concatenation. */
function joinPads(a: Tensor, b: Tensor): Tensor | undefined {
  const [p, q] = [padded(a), padded(b)];
  if (!p || !q || p.axis !== q.axis || !shapeEq(a.shape, b.shape)) return undefined;
  const [first, second] = p.low <= q.low ? [p, q] : [q, p];
  const end = dimAdd(first.x.shape[first.axis] as Dim, first.low);
  if (dimSub(end, second.low) !== 0) return undefined;
  return ir.padAxis(apply('concat', [first.x, second.x], { axis: first.axis }), first.axis, first.low, second.high);
}

/** concat(concat(a, b), c) along one axis is concat(a, b, c). */
function flattenConcat(node: Node<'concat'>, inputs: readonly Tensor[]): Tensor | undefined {
  const { axis } = node.attrs;
  if (!inputs.some((t) => isOp(t.node, 'concat') && t.node.attrs.axis === axis)) return undefined;
  return ir.concat(
    inputs.flatMap((t) => (isOp(t.node, 'concat') && t.node.attrs.axis === axis ? t.node.inputs : [t])),
    axis,
  );
}

/**
 * Removes copies around fused projections: the slices of a joint product become products with slices of the weight, and on the way back
 * the joined cotangent is never formed. Runs until nothing moves.
 */
export function pushSplits(outputs: readonly Tensor[]): Tensor[] {
  let current = [...outputs];
  for (let round = 0; round < 8; round++) {
    const users = usersOf(current);
    let moved = false;
    current = rewrite(current, (node, inputs) => {
      const better = isOp(node, 'slice')
        ? sinkSlice(node, inputs[0] as Tensor, users)
        : node.op === 'add'
          ? joinPads(inputs[0] as Tensor, inputs[1] as Tensor)
          : isOp(node, 'concat')
            ? flattenConcat(node, inputs)
            : raiseConcat(node, inputs, users);
      if (better) moved = true;
      return better ? [better] : undefined;
    });
    if (!moved) break;
  }
  return current;
}
