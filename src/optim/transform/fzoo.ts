import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import { stack } from '../../tensor/ops/slicing.js';
import { leafAt, probeOf } from './compose.js';
import { descend, mezo, perturbationSize, perturbations } from './mezo.js';
import { alongDirections, directionKeys, lossAlong, perturbFlops } from './perturb.js';
import { countElements } from './pieces.js';
import type { GradientTransform, OptimizerMethod } from './slot.js';

function fzooTransform(s: Settings): GradientTransform {
  const [n, epsilon] = [perturbations(s), perturbationSize(s)];
  if (n < 2) throw new VitroError(`fzoo: num_perturbations must be at least 2, as their losses' spread sets the step, got ${n}`);
  return {
    init: () => ({}),
    update: (_, state, context) => {
      const probe = probeOf(context, 'fzoo');
      const { params, specs, rates } = context;
      const keys = directionKeys(probe, n);
      const lossAt = lossAlong(probe, params, params, 'rademacher');
      const here = probe.lossAt(params);
      const losses = Array.from({ length: n }, (__, i) => lossAt(keys.at(i), epsilon));
      const spread = stack(losses).variance().sqrt().maximum(1e-12);
      const coefficients = losses.map((loss) => loss.sub(here).div(spread.mul(n)));
      const estimate = alongDirections(keys, coefficients, params, 'rademacher');
      return { updates: descend(estimate, params, specs, leafAt(rates, 'learning_rate'), Number(s.weight_decay)), state };
    },
  };
}

/**
 * FZOO (Dang et al., "FZOO: Fast Zeroth-Order Optimizer for Fine-Tuning Large Language Models towards Adam-Scale Speed", arXiv:2506.09034, catalogue
 * P393), with u_i of -1 and 1 and l_i = L(p + eps u_i), l_0 = L(p):
 *   p = p - lr (1/n) sum_i (l_i - l_0) / sigma u_i,   sigma = standard deviation of l_1 .. l_n
 * Against mezo: one-sided differences share one base pass (n + 1 passes for n directions), signs in place of normal values, and the spread of
 * the losses, which grows with the slope, sets the length of the step in place of eps. Code compared with github.com/DKmiyan/FZOO at d4f8a8b.
 */
export const fzoo: OptimizerMethod = {
  id: 'fzoo',
  summary: 'one-sided passes along random signs, the step normalised by the spread of their losses',
  seed: 'P393',
  paper: 'arXiv:2506.09034',
  equation: 'p = p - lr (1/n) sum_i (l_i - l_0) / std(l) u_i, l_i = L(p + eps u_i), u of -1 and 1',
  parent: 'mezo',
  defaults: { ...mezo.defaults, learning_rate: 1e-5, num_perturbations: 8 },
  knobs: { zo_eps: 'length of a perturbation per coordinate', num_perturbations: 'directions in a step (n), at least 2' },
  rates: ['learning_rate'],
  limits: [],
  provenance: 'repo',
  assumes: [
    'sigma divides by n, as in the repository (the paper divides by n - 1), and is at least 1e-12',
    'the variant that reuses the losses of the step before is not here; nor is the batched forward pass with directions in the activations, which changes speed, not values',
  ],
  demo: { testbed: 'finetune-shakespeare', baseline: 'mezo', metric: 'val/bpb', cost: 'forward passes', expect: 'gain' },
  create: fzooTransform,
  needsGradient: () => false,
  lossEvaluations: (s) => perturbations(s) + 1,
  flops: (specs, s) => perturbFlops(countElements(specs), perturbations(s), perturbations(s)),
};
