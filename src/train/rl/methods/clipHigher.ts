import type { RlMethod } from './slot.js';

/**
 * Clip-higher (Yu et al. 2025, arXiv:2503.14476): improbable tokens may grow further than probable ones may shrink.
 * Against grpo: the upper bound of the ratio is 1 + epsilon_high.
 */
export const clipHigher: RlMethod = {
  id: 'clip-higher',
  summary: 'a higher upper bound of the ratio',
  paper: 'arXiv:2503.14476',
  equation: 'rho in [1 - epsilon, 1 + epsilon_high]',
  parent: 'grpo',
  defaults: { epsilon_high: 0.28 },
  knobs: { epsilon_high: 'upper clip; 0 = epsilon' },
  limits: [{ slot: 'surrogate', settings: { epsilon_high: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [],
  slots: {},
};
