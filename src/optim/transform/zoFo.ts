import type { ParamSpec, Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { leafAt, mapLeaves, pickLeaves, probeOf } from './compose.js';
import { descend, mezo, perturbationSize, perturbations } from './mezo.js';
import { alongDirections, directionKeys, lossAlong, perturbFlops } from './perturb.js';
import { countElements } from './pieces.js';
import type { GradientTransform, OptimizerMethod } from './slot.js';

/** Whether a pattern names the parameter: a role, or a path with * for any run of characters. */
function names(pattern: string, spec: ParamSpec, path: string): boolean {
  if (pattern === spec.role) return true;
  const literal = pattern.split('*').map((part) => part.replace(/[\\^$.+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${literal.join('.*')}$`).test(path);
}

/** Whether a parameter follows its gradient: the setting `first_order` lists roles or path patterns, separated by commas. */
function isFirstOrder(s: Settings, spec: ParamSpec, path: string): boolean {
  const patterns = String(s.first_order)
    .split(',')
    .map((p) => p.trim())
    .filter((p) => p !== '' && p !== 'none');
  return patterns.some((pattern) => names(pattern, spec, path));
}

function zoFoTransform(s: Settings): GradientTransform {
  const [n, epsilon, weightDecay] = [perturbations(s), perturbationSize(s), Number(s.weight_decay)];
  const central = s.perturbation === 'central';
  if (!central && s.perturbation !== 'forward')
    throw new VitroError(`zo-fo: perturbation must be forward or central, got ${s.perturbation}`);
  return {
    init: () => ({}),
    update: (grads, state, context) => {
      const { params, specs, rates } = context;
      const isBase = (path: string): boolean => !isFirstOrder(s, leafAt(specs, path), path);
      const base = pickLeaves(params, isBase);
      const given = pickLeaves(grads, (path) => !isBase(path));
      const first = descend(given, params, specs, leafAt(rates, 'first_order_learning_rate'), weightDecay);
      if (Object.keys(base).length === 0) return { updates: first, state };
      const probe = probeOf(context, 'zo-fo');
      const keys = directionKeys(probe, n);
      const lossAt = lossAlong(probe, params, base, 'normal');
      const here = central ? undefined : probe.lossAt(params);
      const slopes = Array.from({ length: n }, (_, i): Tensor => {
        const key = keys.at(i);
        const other = here ?? lossAt(key, -epsilon);
        return lossAt(key, epsilon)
          .sub(other)
          .mul(1 / ((central ? 2 : 1) * epsilon * n));
      });
      const estimate = alongDirections(keys, slopes, base, 'normal');
      const zeroth = descend(estimate, params, specs, leafAt(rates, 'learning_rate'), weightDecay);
      return { updates: mapLeaves(params, (_, path) => leafAt({ ...zeroth, ...first }, path)), state };
    },
  };
}

/**
 * Hybrid zeroth- and first-order fine-tuning (Ma et al., "New Hybrid Fine-Tuning Paradigm for LLMs", arXiv:2604.09940, catalogue P091): base
 * parameters x move by a two-point estimate, a small set y (adapters in the paper) by its gradient, at the same time and at rates of their own:
 *   x = x - lr (L(x + eps v, y) - L(x, y)) / eps v,   y = y - first_order_learning_rate dL/dy,   v standard normal
 * Against mezo: some parameters follow their gradient, and the differences are one-sided.
 */
export const zoFo: OptimizerMethod = {
  id: 'zo-fo',
  summary: 'forward passes for the base, gradients for a small set of parameters, each at its own rate',
  seed: 'P091',
  paper: 'arXiv:2604.09940',
  equation: 'x = x - lr_x (L(x + eps v, y) - L(x, y)) / eps v, y = y - lr_y dL/dy',
  parent: 'mezo',
  defaults: { ...mezo.defaults, first_order_learning_rate: 1e-3, first_order: 'vector', perturbation: 'forward' },
  knobs: {
    first_order:
      'what follows its gradient: roles (vector, embedding, matrix) or path patterns with *, separated by commas; none = nothing',
    perturbation: 'forward: L(x + eps v) - L(x), as in the paper; central: both sides, as in mezo',
    learning_rate: 'of the base parameters',
  },
  rates: ['learning_rate', 'first_order_learning_rate'],
  limits: [{ settings: { first_order: 'none', perturbation: 'central' }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'no code is published; the estimate and the simultaneous update of the paper are taken as a secondary source quotes them',
    'the set that follows gradients is chosen among the parameters of the model (gains by default) where the paper trains prompts, prefixes or LoRA',
    'both sets use plain gradient descent, as in the paper; the training loop sets the order of the data',
  ],
  demo: { testbed: 'finetune-shakespeare', baseline: 'mezo', metric: 'val/bpb', cost: 'forward passes', expect: 'gain' },
  create: zoFoTransform,
  needsGradient: (spec, path, s) => isFirstOrder(s, spec, path),
  lossEvaluations: (s) => (s.perturbation === 'central' ? 2 * perturbations(s) : perturbations(s) + 1),
  flops: (specs, s) => {
    const base = pickLeaves(specs, (path) => !isFirstOrder(s, leafAt(specs, path), path));
    const n = perturbations(s);
    return perturbFlops(countElements(base), s.perturbation === 'central' ? 2 * n : n, n) + 4 * countElements(specs);
  },
};
