import { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { checkpoint, scan } from '../../tensor/ops/control.js';
import { zerosLike } from '../../tensor/ops/create.js';
import { scalar } from '../../tensor/ops/operand.js';
import { stack } from '../../tensor/ops/slicing.js';
import { normal, randomBits, splitKeys } from '../../tensor/random.js';
import { leafAt, mapLeaves } from './compose.js';
import type { Leaves, LossProbe } from './slot.js';

/** Distribution of a random direction: independent standard normal values, or -1 and 1 with equal chances. */
export type Direction = 'normal' | 'rademacher';

/** 2^0 .. 2^31, which shift a bit of a word to the right end. */
const places = new NDArray(
  'u32',
  [32],
  Uint32Array.from({ length: 32 }, (_, i) => 2 ** i),
);

/** n signs: element i is bit i mod 32 of word floor(i / 32), so that a word serves 32 elements. */
function signs(key: Tensor, n: number): Tensor {
  const words = Math.ceil(n / 32);
  const bits = randomBits(key, [words, 1])
    .div(places)
    .mod(2)
    .reshape([words * 32]);
  return bits
    .slice({ 0: [0, n] })
    .cast('f32')
    .mul(2)
    .sub(1);
}

const count = (x: Tensor): number => (x.shape as readonly number[]).reduce((a, b) => a * b, 1);

/** Elements from which on parameters get a draw of their own: small ones share a draw, which costs hundreds of small operations. */
const sharedDraw = 2 ** 20;

/** Consecutive parameters whose elements are drawn together. */
function groupsOf(params: Leaves<Tensor>): string[][] {
  const groups: string[][] = [];
  let room = 0;
  for (const [path, p] of Object.entries(params)) {
    if (room < count(p)) {
      groups.push([]);
      room = sharedDraw;
    }
    groups.at(-1)?.push(path);
    room -= count(p);
  }
  return groups;
}

/** One direction through all of the parameters: a key for each group, its elements in the order of the parameters. */
function directions(direction: Direction, key: Tensor, params: Leaves<Tensor>): Leaves<Tensor> {
  const groups = groupsOf(params);
  const keys = splitKeys(key, groups.length);
  const parts: Record<string, Tensor> = {};
  groups.forEach((paths, i) => {
    const sizes = paths.map((path) => count(leafAt(params, path)));
    const n = sizes.reduce((a, b) => a + b, 0);
    const all = direction === 'normal' ? normal(keys.at(i), [n]) : signs(keys.at(i), n);
    all.split(sizes, 0).forEach((part, k) => {
      const path = paths[k] as string;
      parts[path] = part.reshape(leafAt(params, path).shape);
    });
  });
  return parts;
}

/** n keys for n directions. */
export const directionKeys = (probe: LossProbe, n: number): Tensor => splitKeys(probe.key, n);

/**
 * The loss at params + step z(key), where z runs through `moved` and the other parameters stay. Every call is the same compiled function, and z
 * lives within it: neither the directions nor more than one set of moved parameters are held at a time.
 */
export function lossAlong(
  probe: LossProbe,
  params: Leaves<Tensor>,
  moved: Leaves<Tensor>,
  direction: Direction,
): (key: Tensor, step: number) => Tensor {
  const evaluate = checkpoint(
    (at: { readonly moved: Leaves<Tensor>; readonly key: Tensor; readonly step: Tensor }) => {
      const z = directions(direction, at.key, at.moved);
      const shifted = mapLeaves(at.moved, (p, path) => p.add(leafAt(z, path).mul(at.step)));
      return probe.lossAt({ ...params, ...shifted });
    },
    { label: 'loss along a direction' },
  );
  return (key, step) => evaluate({ moved, key, step: scalar(step) });
}

/** sum_i coefficients_i z(keys_i), the directions drawn again one after the other. */
export function alongDirections(
  keys: Tensor,
  coefficients: readonly Tensor[],
  params: Leaves<Tensor>,
  direction: Direction,
): Leaves<Tensor> {
  const [only, ...others] = coefficients;
  if (only !== undefined && others.length === 0) {
    return mapLeaves(directions(direction, keys.at(0), params), (z) => z.mul(only));
  }
  return scan(
    (sum: Leaves<Tensor>, x: { readonly key: Tensor; readonly c: Tensor }) => {
      const z = directions(direction, x.key, params);
      return [mapLeaves(sum, (s, path) => s.add(leafAt(z, path).mul(x.c))), {}];
    },
    { init: mapLeaves(params, zerosLike), xs: { key: keys, c: stack(coefficients) } },
  ).carry;
}

/** Operations of drawing a direction for n elements, moving the parameters along it and back into an update. */
export const perturbFlops = (n: number, evaluations: number, draws: number): number =>
  n * (2 * evaluations + 8 * (evaluations + draws) + 4);
