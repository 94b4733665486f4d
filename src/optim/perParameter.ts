import type { ParamSpec } from '../contracts/index.js';
import type { NDArray } from '../tensor/array.js';
import type { Tensor } from '../tensor/graph.js';
import { checkpoint } from '../tensor/ops/control.js';
import { leafAt, mapLeaves } from './transform/compose.js';
import { applyUpdates, globalNorm } from './transform/pieces.js';
import type { GradientTransform, Leaves, OptState, TransformContext } from './transform/slot.js';

/** State of each parameter's own optimizer. */
export type PerParameterState<T> = Leaves<OptState<T>>;

/** State before the first step, one record a parameter. */
export const initPerParameter = (transform: GradientTransform, specs: Leaves<ParamSpec>): PerParameterState<NDArray> =>
  mapLeaves(specs, (spec, path) => transform.init({ [path]: spec }));

/**
 * Clips by the global norm and updates every parameter in a compiled function of its own, shared by parameters of one shape. In a compiled step with
 * donated state, each of these writes parameter and state in place, after all gradients are known: memory beyond parameters, state and
 * gradients is that of one update. For transforms that treat parameters independently of each other.
 */
export function updatePerParameter(
  transform: GradientTransform,
  grads: Leaves<Tensor>,
  state: PerParameterState<Tensor>,
  { params, specs, rates }: TransformContext,
  maxGradNorm: number,
): { params: Leaves<Tensor>; state: PerParameterState<Tensor>; gradNorm: Tensor } {
  const gradNorm = globalNorm(grads);
  const factor = gradNorm.add(1e-6).recip().mul(maxGradNorm).minimum(1);
  const results = mapLeaves(grads, (g, path) => {
    const spec = { [path]: leafAt(specs, path) };
    const update = checkpoint(
      (own: { p: Tensor; g: Tensor; state: OptState<Tensor>; factor: Tensor; rates: Readonly<Record<string, Tensor>> }) => {
        const param = { [path]: own.p };
        const { updates, state: next } = transform.update({ [path]: own.g.mul(own.factor) }, own.state, {
          params: param,
          specs: spec,
          rates: own.rates,
        });
        return { p: leafAt(applyUpdates(param, updates), path), state: next };
      },
      { label: `update of ${path}` },
    );
    return update({ p: leafAt(params, path), g, state: leafAt(state, path), factor, rates });
  });
  return { params: mapLeaves(results, (r) => r.p), state: mapLeaves(results, (r) => r.state), gradNorm };
}
