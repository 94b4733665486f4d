import type { ParamSpec, Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { leafAt, mapLeaves, probeOf } from './compose.js';
import { alongDirections, directionKeys, lossAlong, perturbFlops } from './perturb.js';
import { countElements, isDecayed } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod } from './slot.js';

/** Number of random directions in a step. */
export function perturbations(s: Settings): number {
  const n = Number(s.num_perturbations);
  if (!(Number.isInteger(n) && n >= 1)) throw new VitroError(`num_perturbations must be a whole number of at least 1, got ${n}`);
  return n;
}

/** Distance of a perturbation. */
export function perturbationSize(s: Settings): number {
  const epsilon = Number(s.zo_eps);
  if (!(epsilon > 0)) throw new VitroError(`zo_eps must be positive, got ${epsilon}`);
  return epsilon;
}

/** -rate (estimate + weight_decay p) for every parameter of the estimate. */
export const descend = (
  estimate: Leaves<Tensor>,
  params: Leaves<Tensor>,
  specs: Leaves<ParamSpec>,
  rate: Tensor,
  weightDecay: number,
): Leaves<Tensor> =>
  mapLeaves(estimate, (g, path) => {
    const decayed = weightDecay !== 0 && isDecayed(leafAt(specs, path)) ? g.add(leafAt(params, path).mul(weightDecay)) : g;
    return decayed.mul(rate.neg());
  });

function mezoTransform(s: Settings): GradientTransform {
  const [n, epsilon] = [perturbations(s), perturbationSize(s)];
  return {
    init: () => ({}),
    update: (_, state, context) => {
      const probe = probeOf(context, 'mezo');
      const { params, specs, rates } = context;
      const keys = directionKeys(probe, n);
      const lossAt = lossAlong(probe, params, params, 'normal');
      const slopes = Array.from({ length: n }, (__, i) => {
        const key = keys.at(i);
        return lossAt(key, epsilon)
          .sub(lossAt(key, -epsilon))
          .mul(1 / (2 * epsilon * n));
      });
      const estimate = alongDirections(keys, slopes, params, 'normal');
      return { updates: descend(estimate, params, specs, leafAt(rates, 'learning_rate'), Number(s.weight_decay)), state };
    },
  };
}

/**
 * MeZO (Malladi et al., "Fine-Tuning Language Models with Just Forward Passes", arXiv:2305.17333, algorithm 1): gradient descent on the
 * simultaneous-perturbation estimate (Spall 1992), z standard normal over all parameters, drawn again from its key where it is needed:
 *   p = p - lr (1/n) sum_i (L(p + eps z_i) - L(p - eps z_i)) / (2 eps) z_i
 * Against sgd: two forward passes a direction stand in for the gradient; no backward pass, no state.
 */
export const mezo: OptimizerMethod = {
  id: 'mezo',
  summary: 'gradient descent without gradients: two forward passes along a random direction',
  paper: 'arXiv:2305.17333',
  equation: 'p = p - lr (1/n) sum_i (L(p + eps z_i) - L(p - eps z_i)) / (2 eps) z_i, z normal',
  parent: 'sgd',
  defaults: { learning_rate: 1e-6, zo_eps: 1e-3, num_perturbations: 1, weight_decay: 0 },
  knobs: { zo_eps: 'length of a perturbation per coordinate', num_perturbations: 'directions in a step (n)' },
  rates: ['learning_rate'],
  limits: [],
  provenance: 'paper',
  assumes: ['both passes of a direction see the same batch; gains and biases do not decay'],
  create: mezoTransform,
  needsGradient: () => false,
  lossEvaluations: (s) => 2 * perturbations(s),
  flops: (specs, s) => perturbFlops(countElements(specs), 2 * perturbations(s), perturbations(s)),
};
