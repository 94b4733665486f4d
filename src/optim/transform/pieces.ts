import type { ParamSpec } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';
import { scalar } from '../../tensor/ops/operand.js';
import { leafAt, mapLeaves, stateless } from './compose.js';
import type { GradientTransform, Leaves } from './slot.js';

/** The norm of all leaves taken as one vector: sqrt of the sum of squares, a scalar; 0 where there are none. */
export function globalNorm(grads: Leaves<Tensor>): Tensor {
  const [first, ...others] = Object.values(grads).map((g) => g.mul(g).sum());
  return first === undefined ? scalar(0) : others.reduce((a, b) => a.add(b), first).sqrt();
}

/** Scales all gradients by min(1, maxNorm / norm) with their global norm (Pascanu et al. 2013). */
export const clipByGlobalNorm = (maxNorm: number): GradientTransform => ({
  init: () => ({}),
  update: (grads, state) => {
    const factor = globalNorm(grads).add(1e-6).recip().mul(maxNorm).minimum(1);
    return { updates: mapLeaves(grads, (g) => g.mul(factor)), state };
  },
});

/** Adds weightDecay * p to the update of every parameter that `decays` (decoupled decay when it stands after the gradient's scaling). */
export const addDecayedWeights = (weightDecay: number, decays: (spec: ParamSpec) => boolean): GradientTransform =>
  stateless((g, path, { params, specs }) =>
    weightDecay !== 0 && decays(leafAt(specs, path)) ? g.add(leafAt(params, path).mul(weightDecay)) : g,
  );

/** Multiplies by minus the scheduled rate of that name (times a constant): the last transform of a chain. */
export const scaleByRate = (rate: string, factor = 1): GradientTransform =>
  stateless((g, _, { rates }) => g.mul(leafAt(rates, rate).mul(-factor)));

/** Matrices and embeddings decay; gains and biases do not. */
export const isDecayed = (spec: ParamSpec): boolean => spec.role !== 'vector';

/** Number of elements of a parameter. */
export const sizeOf = ({ shape }: ParamSpec): number => shape.reduce((a, b) => a * b, 1);

/** Number of elements of all parameters. */
export const countElements = (specs: Leaves<ParamSpec>): number => Object.values(specs).reduce((n, spec) => n + sizeOf(spec), 0);

/** New parameters p + u. */
export const applyUpdates = (params: Leaves<Tensor>, updates: Leaves<Tensor>): Leaves<Tensor> =>
  mapLeaves(params, (p, path) => p.add(leafAt(updates, path)));
