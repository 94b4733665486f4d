import { cautious } from './cautious.js';
import { chain } from './compose.js';
import { lion, scaleByLion } from './lion.js';
import { addDecayedWeights, countElements, isDecayed, scaleByRate } from './pieces.js';
import type { OptimizerMethod } from './slot.js';

/**
 * C-Lion (arXiv:2411.16085, catalogue P741): coordinates where Lion's sign differs from the gradient's are dropped; see `cautious`.
 * Against lion: the mask, and nothing else.
 */
export const cautiousLion: OptimizerMethod = {
  id: 'cautious-lion',
  summary: 'Lion without the coordinates that move against the gradient',
  seed: 'P741',
  paper: 'arXiv:2411.16085',
  equation: 'u = sign(b1 m + (1-b1) g), phi = 1[u g > 0], p = p - lr (u phi n / (sum(phi) + 1) + weight_decay p)',
  parent: 'lion',
  defaults: { ...lion.defaults, mask_scaling: 'count' },
  knobs: { mask_scaling: "count: n / (sum(phi) + 1), as the repository's Lion; mean: 1 / max(mean(phi), 1e-3)" },
  rates: ['learning_rate'],
  limits: [{ settings: { lion_beta1: 0, mask_scaling: 'mean' }, inputs: 'gradients without zeros', tolerance: 1e-7 }],
  provenance: 'repo',
  assumes: ['the mask compares with the gradient that the optimizer sees (after clipping)'],
  demo: { testbed: 'shakespeare', baseline: 'lion', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  create: (s) =>
    chain(
      cautious(scaleByLion(Number(s.lion_beta1), Number(s.lion_beta2)), s),
      addDecayedWeights(Number(s.weight_decay), isDecayed),
      scaleByRate('learning_rate'),
    ),
  flops: (specs, s) => lion.flops(specs, s) + 5 * countElements(specs),
};
