import { wrap } from '../compose.js';
import { delayed } from '../parts/stale.js';
import type { RlMethod } from './slot.js';

/**
 * Stale rollouts (Noukhovitch et al. 2024, arXiv:2410.18252): generation runs ahead of training, so a step trains on what older weights sampled.
 * Against grpo: the buffer hands over the samples of `staleness` steps ago; the first steps only sample.
 */
export const staleRollouts: RlMethod = {
  id: 'stale-rollouts',
  summary: 'trains on what was sampled some steps ago',
  paper: 'arXiv:2410.18252',
  equation: 'the batch of step t was drawn from the policy of step t - staleness',
  parent: 'grpo',
  defaults: { staleness: 4 },
  knobs: { staleness: 'steps between sampling and training; 0 = on policy' },
  limits: [{ slot: 'buffer', settings: { staleness: 0 }, tolerance: 0 }],
  provenance: 'derived',
  assumes: ['nothing trains until the first samples arrive'],
  slots: { buffer: wrap(delayed) },
};
