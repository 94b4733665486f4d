import { encode, NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import * as ops from '../../../src/tensor/ops/index.js';
import type { Draw } from '../onnx/draw.js';

const sizes = (t: Tensor): number[] => t.shape as number[];
const constants = [0, 1, -1, 0.5, 2];

/** One more tensor (or several) computed from those in the pool; values stay of order one. */
type Grow = (d: Draw, x: Tensor, pool: readonly Tensor[]) => readonly Tensor[];

const axisOf = (d: Draw, x: Tensor): number => d.int(0, x.rank - 1);

const growers: readonly Grow[] = [
  (d, x) => [d.pick([x.neg(), x.tanh(), x.sigmoid(), x.sin(), ops.stopGradient(x), x.silu()])],
  (d, x) => {
    const c = ir.scalar(d.pick(constants));
    return [d.pick([() => x.add(c), () => c.mul(x), () => x.mul(c), () => x.sub(c), () => x.tanh().pow(2)])()];
  },
  (d, x, pool) => {
    const fitting = pool.filter((t) => t.rank <= x.rank && sizes(t).every((n, i) => n === 1 || n === sizes(x)[i + x.rank - t.rank]));
    const y = d.pick(fitting);
    return [d.pick([() => x.add(y), () => y.mul(x), () => x.sub(y), () => x.div(y.square().add(1)), () => x.maximum(y.add(0.37))])()];
  },
  (d, x) => {
    if (x.rank < 2) return [];
    const [inner, outer] = [sizes(x).at(-1) as number, d.int(1, 6)];
    const transB = d.bool();
    const w = d.input('f32', transB ? [outer, inner] : [inner, outer], -0.5, 0.5);
    return [ir.matmul(x, w, { transB, alpha: d.pick([1, 0.5]) })];
  },
  (d, x, pool) => {
    const y = pool.find((t) => t.rank === x.rank && t.rank >= 2 && sizes(t).slice(0, -1).join() === sizes(x).slice(0, -1).join());
    return y ? [d.bool() ? ir.matmul(x, y, { transA: true }) : ir.matmul(y.swapAxes(-1, -2), x)] : [];
  },
  (d, x) => {
    const shape = sizes(x);
    const at = axisOf(d, x);
    const n = shape[at] as number;
    const factor = [2, 3, 4].find((f) => n % f === 0) ?? 1;
    const merged = at + 1 < shape.length && d.bool();
    if (merged) return [x.reshape([...shape.slice(0, at), n * (shape[at + 1] as number), ...shape.slice(at + 2)])];
    return shape.length < 4 ? [x.reshape([...shape.slice(0, at), factor, n / factor, ...shape.slice(at + 1)])] : [];
  },
  (d, x) => {
    const perm = sizes(x).map((_, i) => i);
    const [i, j] = [axisOf(d, x), axisOf(d, x)];
    [perm[i], perm[j]] = [perm[j] as number, perm[i] as number];
    return [ir.transpose(x, perm)];
  },
  (d, x) => {
    const axis = axisOf(d, x);
    const n = sizes(x)[axis] as number;
    const at = d.int(0, n);
    return [ir.sliceAxis(x, axis, 0, at), ir.sliceAxis(x, axis, at, n)].filter((t) => (sizes(t)[axis] as number) > 0);
  },
  (d, x, pool) => {
    const axis = axisOf(d, x);
    const others = pool.filter((t) => t.rank === x.rank && sizes(t).every((n, i) => i === axis || n === sizes(x)[i]));
    return [ir.concat([x, d.pick(others)], axis)];
  },
  (d, x) => [ir.padAxis(x, axisOf(d, x), d.int(0, 2), d.int(0, 2))],
  (d, x) => {
    const axis = axisOf(d, x);
    return [d.bool() ? x.sum({ axis, keepDims: true }).mul(0.3) : x.mean({ axis })];
  },
  (d, x) => [x.broadcastTo([d.int(1, 2), ...sizes(x)])],
  (d, x) => [ir.softmax(x, axisOf(d, x))],
  (d, x) => {
    const n = sizes(x)[0] as number;
    const ids = Array.from({ length: d.int(1, 4) }, () => d.int(0, n - 1));
    return [ops.gather(x, d.given(new NDArray('i32', [ids.length], encode('i32', ids))))];
  },
  (d, x) => [ops.where(ops.lt(ir.scalar(0.11), x), x.mul(2), ir.scalar(d.pick(constants)))],
];

/** Outputs of a random graph over a few drawn inputs: chains and reconvergence of the operations that the passes rewrite. */
export function randomGraph(d: Draw): Tensor[] {
  const base = [d.int(1, 3), d.pick([2, 4, 6]), d.pick([2, 4, 6])];
  const pool: Tensor[] = [d.input('f32', base, -1, 1), d.input('f32', base, -1, 1), d.input('f32', base.slice(-1), -1, 1)];
  for (let i = d.int(4, 14); i > 0; i--) {
    // later tensors more often, so that chains grow
    const x = pool[Math.max(d.int(0, pool.length - 1), d.int(0, pool.length - 1))] as Tensor;
    if (x.rank === 0 || x.rank > 4) continue;
    const made = d
      .pick(growers)(d, x, pool)
      .filter((t) => sizes(t).reduce((a, b) => a * b, 1) <= 400);
    pool.push(...made);
  }
  return pool.slice(-d.int(1, 3)).map((t) => t.tanh());
}
