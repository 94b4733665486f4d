import type { ParamSpec } from '../contracts/index.js';
import { full, NDArray, zeros } from '../tensor/array.js';
import { foldIn, keyWords, threefryBits } from '../tensor/random/threefry.js';
import { mapTree, type Tree, treeEntries } from '../tensor/tree.js';

/** n independent standard normal values of a key, by Box and Muller's transform of pairs of uniform words. */
function normalValues(key: NDArray, n: number): Float32Array {
  const bits = threefryBits(keyWords(key), n + (n % 2));
  const out = new Float32Array(n);
  for (let i = 0; i < n; i += 2) {
    // u in (0, 1), so that the logarithm is finite
    const u = ((bits[i] as number) + 0.5) / 2 ** 32;
    const angle = (2 * Math.PI * (bits[i + 1] as number)) / 2 ** 32;
    const radius = Math.sqrt(-2 * Math.log(u));
    out[i] = radius * Math.cos(angle);
    if (i + 1 < n) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

function initParam({ shape, init }: ParamSpec, key: NDArray): NDArray {
  if (init.kind === 'zeros') return zeros(shape);
  if (init.kind === 'ones') return full(shape, 1);
  const values = normalValues(
    key,
    shape.reduce((a, b) => a * b, 1),
  );
  return new NDArray(
    'f32',
    shape,
    values.map((x) => x * init.std),
  );
}

/** Starting values of every parameter, f32 on the host. Parameter i draws from foldIn(key, i), in the order of the tree. */
export function initParams<P>(specs: P, key: NDArray): MapLeaves<P> {
  const order = new Map(treeEntries(specs as Tree<ParamSpec>).map(([path], i) => [path, i]));
  return mapTree(specs as Tree<ParamSpec>, (spec, path) => initParam(spec, foldIn(key, order.get(path) ?? 0))) as MapLeaves<P>;
}

/** The tree P with an array for every ParamSpec. */
export type MapLeaves<P> = P extends ParamSpec ? NDArray : { [K in keyof P]: MapLeaves<P[K]> };

/** Number of elements of a tree of parameters. */
export const countParams = (specs: unknown): number =>
  treeEntries(specs as Tree<ParamSpec>).reduce((n, [, { shape }]) => n + shape.reduce((a, b) => a * b, 1), 0);
