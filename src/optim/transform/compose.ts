import type { ParamSpec } from '../../contracts/index.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import type { GradientTransform, Leaves, LossProbe, OptState, TransformContext } from './slot.js';

/** Applies f to every leaf. */
export const mapLeaves = <A, B>(leaves: Leaves<A>, f: (leaf: A, path: string) => B): Leaves<B> =>
  Object.fromEntries(Object.entries(leaves).map(([path, leaf]) => [path, f(leaf, path)]));

/** The leaf at a path; a missing one is a defect of the caller and says so. */
export function leafAt<T>(leaves: Leaves<T>, path: string): T {
  const leaf = leaves[path];
  if (leaf === undefined) throw new RangeError(`no leaf "${path}" among ${Object.keys(leaves).join(', ')}`);
  return leaf;
}

/** The context's loss probe; a caller that gives none cannot run methods that evaluate the loss or draw random numbers. */
export function probeOf(context: TransformContext, method: string): LossProbe {
  if (context.probe) return context.probe;
  throw new VitroError(`${method} evaluates the loss itself: give \`probe: { key, lossAt }\` in the context of its update`);
}

/** The leaves whose path `keep` accepts. */
export const pickLeaves = <T>(leaves: Leaves<T>, keep: (path: string) => boolean): Leaves<T> =>
  Object.fromEntries(Object.entries(leaves).filter(([path]) => keep(path)));

/** A transform without state, from a function of one gradient. */
export const stateless = (
  f: (g: Tensor, path: string, context: Parameters<GradientTransform['update']>[2]) => Tensor,
): GradientTransform => ({
  init: () => ({}),
  update: (grads, state, context) => ({ updates: mapLeaves(grads, (g, path) => f(g, path, context)), state }),
});

/** Applies transforms in order; each sees the updates of the one before. The state is a record by position. */
export const chain = (...transforms: readonly GradientTransform[]): GradientTransform => ({
  init: (specs) => Object.fromEntries(transforms.map((t, i) => [String(i), t.init(specs)])),
  update: (grads, state, context) => {
    const before = state as Readonly<Record<string, OptState<Tensor>>>;
    const after: Record<string, OptState<Tensor>> = {};
    let updates = grads;
    transforms.forEach((t, i) => {
      const out = t.update(updates, before[String(i)] ?? {}, context);
      updates = out.updates;
      after[String(i)] = out.state;
    });
    return { updates, state: after };
  },
});

/** Gives each parameter to one of several transforms by its spec. The state is a record by the group's name. */
export const partition = (
  groups: Readonly<Record<string, GradientTransform>>,
  groupOf: (spec: ParamSpec, path: string) => string,
): GradientTransform => {
  const members =
    (name: string, specs: Leaves<ParamSpec>) =>
    (path: string): boolean =>
      groupOf(leafAt(specs, path), path) === name;
  return {
    init: (specs) =>
      Object.fromEntries(
        Object.entries(groups).map(([name, t]): [string, OptState<NDArray>] => [name, t.init(pickLeaves(specs, members(name, specs)))]),
      ),
    update: (grads, state, context) => {
      const before = state as Readonly<Record<string, OptState<Tensor>>>;
      const after: Record<string, OptState<Tensor>> = {};
      const merged: Record<string, Tensor> = {};
      for (const [name, t] of Object.entries(groups)) {
        const out = t.update(pickLeaves(grads, members(name, context.specs)), before[name] ?? {}, context);
        Object.assign(merged, out.updates);
        after[name] = out.state;
      }
      // the order of the gradients, whatever the order of the groups
      return { updates: mapLeaves(grads, (_, path) => leafAt(merged, path)), state: after };
    },
  };
};
