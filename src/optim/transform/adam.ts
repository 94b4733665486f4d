import { full, zeros } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { chain, leafAt, mapLeaves } from './compose.js';
import { countElements, scaleByRate } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod } from './slot.js';

type AdamState<T> = {
  /** 1 - b1^t and 1 - b2^t, as running means of the constant 1: exact to float32 where subtracting from 1 is not */
  readonly correction1: T;
  readonly correction2: T;
  /** running mean of g */
  readonly mu: Leaves<T>;
  /** running mean of g^2 */
  readonly nu: Leaves<T>;
};

/**
 * Adam's direction, without a learning rate:
 *   m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2,   u = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 */
export const scaleByAdam = (beta1: number, beta2: number, epsilon: number): GradientTransform => ({
  init: (specs) => ({
    correction1: full([], 0),
    correction2: full([], 0),
    mu: mapLeaves(specs, ({ shape }) => zeros(shape)),
    nu: mapLeaves(specs, ({ shape }) => zeros(shape)),
  }),
  update: (grads, state) => {
    const before = state as AdamState<Tensor>;
    const correction1 = before.correction1.mul(beta1).add(1 - beta1);
    const correction2 = before.correction2.mul(beta2).add(1 - beta2);
    // (m/c1) / (sqrt(v/c2) + eps) = m (sqrt(c2)/c1) / (sqrt(v) + eps sqrt(c2)): the corrections stay scalars
    const root2 = correction2.sqrt();
    const scale = root2.div(correction1);
    const shift = root2.mul(epsilon);
    const mu = mapLeaves(grads, (g, path) =>
      leafAt(before.mu, path)
        .mul(beta1)
        .add(g.mul(1 - beta1)),
    );
    const nu = mapLeaves(grads, (g, path) =>
      leafAt(before.nu, path)
        .mul(beta2)
        .add(g.mul(g).mul(1 - beta2)),
    );
    const updates = mapLeaves(mu, (m, path) => m.mul(scale).div(leafAt(nu, path).sqrt().add(shift)));
    return { updates, state: { correction1, correction2, mu, nu } };
  },
});

/**
 * Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", arXiv:1412.6980, algorithm 1): p = p - learning_rate * scaleByAdam(g).
 * The root of the slot.
 */
export const adam: OptimizerMethod = {
  id: 'adam',
  summary: 'adaptive moments, no weight decay',
  paper: 'arXiv:1412.6980',
  equation: 'm = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, p = p - lr (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps)',
  defaults: { learning_rate: 1e-3, adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8 },
  rates: ['learning_rate'],
  limits: [],
  provenance: 'paper',
  assumes: [],
  create: (s) => chain(scaleByAdam(Number(s.adam_beta1), Number(s.adam_beta2), Number(s.adam_epsilon)), scaleByRate('learning_rate')),
  // two moments (3 + 4), the quotient (4), the rate and the update (2)
  flops: (specs) => 13 * countElements(specs),
};
