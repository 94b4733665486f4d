import { zeros } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { chain, leafAt, mapLeaves } from './compose.js';
import { addDecayedWeights, countElements, isDecayed, scaleByRate } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod } from './slot.js';

/** Lion's direction, without a learning rate: u = sign(b1 m + (1 - b1) g), then m = b2 m + (1 - b2) g. */
export const scaleByLion = (beta1: number, beta2: number): GradientTransform => ({
  init: (specs) => mapLeaves(specs, ({ shape }) => zeros(shape)),
  update: (grads, state) => {
    const before = state as Leaves<Tensor>;
    const mix = (beta: number) => (g: Tensor, path: string) =>
      leafAt(before, path)
        .mul(beta)
        .add(g.mul(1 - beta));
    const interpolate = mix(beta1);
    return { updates: mapLeaves(grads, (g, path) => interpolate(g, path).sign()), state: mapLeaves(grads, mix(beta2)) };
  },
});

/**
 * Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675, program 1):
 *   u = sign(b1 m + (1 - b1) g),   m = b2 m + (1 - b2) g,   p = p - lr (u + weight_decay p)
 * Against adamw: the sign of one momentum in place of the quotient of two moments, so half the state and steps of one size.
 */
export const lion: OptimizerMethod = {
  id: 'lion',
  summary: 'the sign of an interpolated momentum',
  paper: 'arXiv:2302.06675',
  equation: 'u = sign(b1 m + (1-b1) g), m = b2 m + (1-b2) g, p = p - lr (u + weight_decay p)',
  parent: 'adamw',
  defaults: { learning_rate: 1e-4, lion_beta1: 0.9, lion_beta2: 0.99, weight_decay: 0.1 },
  knobs: {
    lion_beta1: 'weight of the momentum in the sign',
    lion_beta2: 'decay of the momentum itself',
    weight_decay: "the paper's advice: rates 3 to 10 times below AdamW's, and a decay that much higher",
  },
  rates: ['learning_rate'],
  limits: [
    {
      settings: { lion_beta1: 0, lion_beta2: 0, adam_beta1: 0, adam_beta2: 0, adam_epsilon: 0, weight_decay: 0.1 },
      inputs: 'gradients without zeros',
      tolerance: 1e-6,
    },
  ],
  provenance: 'paper',
  assumes: ['gains and biases do not decay'],
  create: (s) =>
    chain(
      scaleByLion(Number(s.lion_beta1), Number(s.lion_beta2)),
      addDecayedWeights(Number(s.weight_decay), isDecayed),
      scaleByRate('learning_rate'),
    ),
  // two mixtures (3 + 3), the sign, decay (2), the rate and the update (2)
  flops: (specs) => 11 * countElements(specs),
};
