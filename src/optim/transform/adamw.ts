import type { Settings } from '../../contracts/index.js';
import { adam, scaleByAdam } from './adam.js';
import { chain } from './compose.js';
import { addDecayedWeights, countElements, isDecayed, scaleByRate } from './pieces.js';
import type { GradientTransform, OptimizerMethod } from './slot.js';

/** AdamW by its settings, at the rate of the given name times a constant. */
export const adamwTransform = (s: Settings, rate = 'learning_rate', factor = 1): GradientTransform =>
  chain(
    scaleByAdam(Number(s.adam_beta1), Number(s.adam_beta2), Number(s.adam_epsilon)),
    addDecayedWeights(Number(s.weight_decay), isDecayed),
    scaleByRate(rate, factor),
  );

/**
 * AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101, algorithm 2):
 *   p = p - learning_rate * (scaleByAdam(g) + weight_decay * p)
 * Against adam: the decay acts on the weights and does not pass through the moments. The schedule multiplies both terms, as in the paper.
 */
export const adamw: OptimizerMethod = {
  id: 'adamw',
  summary: 'Adam with decoupled weight decay',
  paper: 'arXiv:1711.05101',
  equation: 'p = p - lr (adam(g) + weight_decay p)',
  parent: 'adam',
  defaults: { ...adam.defaults, weight_decay: 0.01 },
  rates: ['learning_rate'],
  limits: [{ settings: { weight_decay: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the decay is multiplied by the learning rate (as PyTorch and optax do); gains and biases do not decay'],
  create: (s) => adamwTransform(s),
  flops: (specs) => 15 * countElements(specs),
};
