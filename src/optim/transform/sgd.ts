import { zeros } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { chain, leafAt, mapLeaves } from './compose.js';
import { addDecayedWeights, countElements, isDecayed, scaleByRate } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod } from './slot.js';

/** b = momentum b + g; the update is b, or g + momentum b where Nesterov's form is wanted. Without momentum there is no state. */
export const traceMomentum = (momentum: number, nesterov: boolean): GradientTransform =>
  momentum === 0
    ? { init: () => ({}), update: (grads, state) => ({ updates: grads, state }) }
    : {
        init: (specs) => mapLeaves(specs, ({ shape }) => zeros(shape)),
        update: (grads, state) => {
          const after = mapLeaves(grads, (g, path) =>
            leafAt(state as Leaves<Tensor>, path)
              .mul(momentum)
              .add(g),
          );
          return { updates: nesterov ? mapLeaves(grads, (g, path) => g.add(leafAt(after, path).mul(momentum))) : after, state: after };
        },
      };

/**
 * Stochastic gradient descent with heavy-ball or Nesterov momentum (Sutskever et al., "On the importance of initialization and momentum in deep
 * learning", ICML 2013, in PyTorch's form): d = g + weight_decay p,  b = momentum b + d,  p = p - lr b  (Nesterov: p - lr (d + momentum b)).
 * A root of the slot.
 */
export const sgd: OptimizerMethod = {
  id: 'sgd',
  summary: 'gradient descent with momentum',
  paper: 'https://proceedings.mlr.press/v28/sutskever13.html',
  equation: 'd = g + weight_decay p, b = momentum b + d, p = p - lr b (Nesterov: p - lr (d + momentum b))',
  defaults: { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0 },
  knobs: { weight_decay: 'added to the gradient, so it passes through the momentum; not for gains and biases' },
  rates: ['learning_rate'],
  limits: [],
  provenance: 'paper',
  assumes: ['the scheduled rate multiplies the momentum when it is applied, as in PyTorch, not when it is gathered'],
  create: (s) =>
    chain(
      addDecayedWeights(Number(s.weight_decay), isDecayed),
      traceMomentum(Number(s.momentum), s.nesterov === true),
      scaleByRate('learning_rate'),
    ),
  // the decay (2), the momentum (2), Nesterov's form (2), the rate and the update (2)
  flops: (specs, s) =>
    (2 + (s.weight_decay === 0 ? 0 : 2) + (s.momentum === 0 ? 0 : 2) + (s.nesterov === true ? 2 : 0)) * countElements(specs),
};
