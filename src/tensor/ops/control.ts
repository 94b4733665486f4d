import { shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { Graph, inputTensor, makeNode, Tensor } from '../graph.js';
import { insideScan, isCollecting } from '../site.js';
import { treeDef, treeEntries, treeMap } from '../tree.js';
import { closeOver } from './closure.js';
import { add, mul } from './elementwise.js';
import { split } from './slicing.js';

/** Leaves of a tree that must all be tensors. */
function tensorsOf(op: string, what: string, tree: unknown): Tensor[] {
  return treeEntries<unknown>(tree as never).map(([path, leaf]) => {
    if (leaf instanceof Tensor) return leaf;
    throw new OpError(
      op,
      `${what}${path ? `.${path}` : ''} must be a Tensor, got ${typeof leaf}; wrap it with scalar(...) or constant(...)`,
    );
  });
}

/** The tensors among the leaves of a tree. */
const leafTensors = (tree: unknown): Tensor[] =>
  treeEntries<unknown>(tree as never).flatMap(([, leaf]) => (leaf instanceof Tensor ? [leaf] : []));

/** Replaces the Tensor leaves of a tree in order; other leaves stay. */
function withTensors<T>(tree: T, tensors: readonly Tensor[]): T {
  let i = 0;
  return treeMap((_path: string, leaf: unknown) => (leaf instanceof Tensor ? tensors[i++] : leaf), tree) as T;
}

export interface ScanOptions<C, X> {
  /** the first carry */
  readonly init: C;
  /** tensors with a leading axis of iterations */
  readonly xs: X;
  /** from the last iteration to the first; ys keep their places */
  readonly reverse?: boolean;
}

/**
 * Applies `body(carry, x)` to xs[0], xs[1], ... in turn; it returns the next carry (same shapes and dtypes) and what to keep of this
 * iteration. The results are the last carry and the kept values stacked along a new first axis. carry, xs and ys are trees of tensors.
 * The body may use tensors from outside; what it computes without carry and x is computed once.
 *
 * @example const { ys } = scan((h, x) => { const next = h.mul(0.9).add(x); return [next, next]; }, { init: zeros([D]), xs });
 */
export function scan<C, X, Y>(
  body: (carry: C, x: X) => readonly [C, Y],
  { init, xs, reverse = false }: ScanOptions<C, X>,
): { carry: C; ys: Y } {
  const carries = tensorsOf('scan', 'init', init);
  const sequences = tensorsOf('scan', 'xs', xs);
  const carryArgs = carries.map((t, i) => inputTensor(`carry${i}`, t.shape, t.dtype));
  const xArgs = sequences.map((t, i) => {
    if (t.rank === 0) throw new OpError('scan', `xs ${i} must have a leading axis of iterations, got ${shapeStr(t.shape)}`);
    return inputTensor(`x${i}`, t.shape.slice(1), t.dtype);
  });
  if (xArgs.length === 0) throw new OpError('scan', 'needs at least one xs, whose leading axis counts the iterations (e.g. arange(n))');
  const args = [...carryArgs, ...xArgs];
  const [next, kept] = insideScan(() => body(withTensors(init, carryArgs), withTensors(xs, xArgs)));
  if (treeDef(next) !== treeDef(init))
    throw new OpError('scan', `the body's carry has the structure ${treeDef(next)}, but init has ${treeDef(init)}`);
  // The carries before each step are what the gradient needs; where nothing reads them, they vanish before the graph is lowered.
  const outputs = [...tensorsOf('scan', 'carry', next), ...tensorsOf('scan', 'ys', kept), ...carryArgs];
  const closed = closeOver(args, outputs, { hoist: true });
  const node = makeNode('scan', [...closed.lifted, ...carries, ...sequences], {
    body: new Graph([...closed.inputs, ...args], closed.outputs),
    numConsts: closed.lifted.length,
    numCarries: carries.length,
    reverse,
  });
  return {
    carry: withTensors(init, node.outs.slice(0, carries.length)),
    ys: withTensors(kept, node.outs.slice(carries.length, node.outs.length - carries.length)),
  };
}

/** Traces fn on arguments of its own and applies it as one call; outer tensors that it uses become arguments. */
function applyCall<A extends readonly unknown[], R>(fn: (...args: A) => R, args: A, attrs: { label: string; concurrent: boolean }): R {
  const given = leafTensors(args);
  if (given.length === 0 || isCollecting()) return fn(...args);
  const params = given.map((t, i) => inputTensor(`arg${i}`, t.shape, t.dtype));
  const result = fn(...withTensors(args, params));
  const outputs = leafTensors(result);
  if (outputs.length === 0) return result;
  const closed = closeOver(params, outputs, { hoist: false });
  const body = new Graph([...params, ...closed.inputs], closed.outputs);
  const node = makeNode('call', [...given, ...closed.lifted], { body, ...attrs });
  return withTensors(result, node.outs);
}

/**
 * A function of which the intermediate values are not kept for the backward pass but computed again (Chen et al. 2016, arXiv:1604.06174).
 * Arguments and result are trees; tensors among the arguments, and outer tensors that `fn` uses, become arguments of the call. Equal bodies
 * (the layers of a model) share one compilation. While sites are collected (collectSites), the function is traced in place instead.
 */
export const checkpoint =
  <A extends readonly unknown[], R>(fn: (...args: A) => R, { label = fn.name || 'checkpoint' } = {}): ((...args: A) => R) =>
  (...args: A): R =>
    applyCall(fn, args, { label, concurrent: false });

/**
 * Mean of fn over `shards` equal parts of a batch (the first axis of every tensor in it). The parts share one compiled function; with the asynchronous
 * `run` they are computed at the same time, each on its share of the threads, so that the threads need not meet at every operation.
 * Take gradients inside `fn`. Tensors of the result must be f32, and means over the part if the whole is to be a mean.
 *
 * @throws OpError where the first axis has no fixed size that `shards` divides
 */
export function shardedMean<B, R>(
  fn: (part: B) => R,
  batch: B,
  { shards, label = fn.name || 'shard' }: { readonly shards: number; readonly label?: string },
): R {
  if (!Number.isInteger(shards) || shards < 1) throw new OpError('shardedMean', `shards must be a positive integer, got ${shards}`);
  if (shards === 1) return fn(batch);
  const leaves = tensorsOf('shardedMean', 'batch', batch);
  const pieces = leaves.map((t) => {
    const size = t.shape[0];
    if (typeof size !== 'number' || size % shards !== 0)
      throw new OpError(
        'shardedMean',
        `a batch of shape ${shapeStr(t.shape)} does not split into ${shards} equal parts along its first axis`,
      );
    return split(t, shards, 0);
  });
  const results = Array.from({ length: shards }, (_, i) =>
    applyCall(
      fn,
      [
        withTensors(
          batch,
          pieces.map((p) => p[i] as Tensor),
        ),
      ],
      { label, concurrent: true },
    ),
  );
  const perShard = results.map(leafTensors);
  const means = (perShard[0] as Tensor[]).map((_, k) => {
    const total = perShard.map((r) => r[k] as Tensor).reduce((a, b) => add(a, b));
    return mul(total, 1 / shards);
  });
  return withTensors(results[0] as R, means);
}
