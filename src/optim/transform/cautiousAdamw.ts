import { scaleByAdam } from './adam.js';
import { adamw } from './adamw.js';
import { cautious } from './cautious.js';
import { chain } from './compose.js';
import { addDecayedWeights, countElements, isDecayed, scaleByRate } from './pieces.js';
import type { OptimizerMethod } from './slot.js';

/**
 * C-AdamW (arXiv:2411.16085, catalogue P741): coordinates of Adam's direction that point against the current gradient are dropped, the others
 * are scaled up by the inverse of the share that is left; see `cautious`.
 * Against adamw: the mask, and nothing else (no state of its own).
 */
export const cautiousAdamw: OptimizerMethod = {
  id: 'cautious-adamw',
  summary: 'AdamW without the coordinates that move against the gradient',
  seed: 'P741',
  paper: 'arXiv:2411.16085',
  equation: 'u = adam(g), phi = 1[u g > 0], p = p - lr (u phi / max(mean(phi), 1e-3) + weight_decay p)',
  parent: 'adamw',
  defaults: { ...adamw.defaults, mask_scaling: 'mean' },
  knobs: { mask_scaling: "mean: 1 / max(mean(phi), 1e-3), the repository's AdamW; count: n / (sum(phi) + 1), the paper's algorithm" },
  rates: ['learning_rate'],
  limits: [{ settings: { adam_beta1: 0 }, inputs: 'gradients without zeros', tolerance: 1e-7 }],
  provenance: 'repo',
  assumes: [
    "the mask compares with the gradient that the optimizer sees (after clipping); the repository's fused path squares the moment instead, which masks nothing, and is taken for a slip",
  ],
  demo: { testbed: 'shakespeare', baseline: 'adamw', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  create: (s) =>
    chain(
      cautious(scaleByAdam(Number(s.adam_beta1), Number(s.adam_beta2), Number(s.adam_epsilon)), s),
      addDecayedWeights(Number(s.weight_decay), isDecayed),
      scaleByRate('learning_rate'),
    ),
  // the product, the comparison, the sum and two factors
  flops: (specs, s) => adamw.flops(specs, s) + 5 * countElements(specs),
};
