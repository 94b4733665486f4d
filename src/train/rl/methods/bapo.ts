import { adaptiveClip } from '../parts/adaptiveClip.js';
import type { RlMethod } from './slot.js';

/**
 * BAPO (Xi et al. 2025, arXiv:2510.18927): clip bounds that balance positive and negative tokens.
 *   raise c_high, then c_low, until sum_{A > 0} p |loss| / sum p |loss| >= positive_share,   loss = -min(rho A, clip(rho, c_low, c_high) A)
 * Against grpo: the bounds of the ratio are searched for every minibatch, after a forward pass.
 */
export const bapo: RlMethod = {
  id: 'bapo',
  summary: 'clip bounds that adapt until positive tokens have their share of the loss',
  seed: 'P010',
  paper: 'arXiv:2510.18927',
  equation: 'L = -mean min(rho A, clip(rho, c_low, c_high) A), c_high then c_low raised until the share of A > 0 is positive_share',
  parent: 'grpo',
  defaults: { positive_share: 0.4 },
  knobs: { positive_share: 'share of tokens with positive advantage in the size of the loss; 0 = the bounds stay at their start' },
  limits: [
    {
      slot: 'surrogate',
      settings: { clip_low: 0.8, clip_low_max: 0.8, clip_high: 1.2, clip_high_max: 1.2 },
      tolerance: 1e-6,
    },
  ],
  provenance: 'paper',
  assumes: [
    "the paper's formula and order of the search (upper bound first) as a summary gives them; its code raises the lower bound first and leaves out p",
    'the formula as it stands: a higher lower bound takes gradients of negative tokens away and yet adds to the size of their loss',
    'positive_share 0.4, the figure of the paper (the page of its code says 0.5)',
  ],
  demo: { testbed: 'countdown-stale', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  recipe: true,
  slots: { surrogate: adaptiveClip },
};
