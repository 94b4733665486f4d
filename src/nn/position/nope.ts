import type { PositionMethod } from './slot.js';

/**
 * No positions at all (NoPE; Kazemnejad et al. 2023, arXiv:2305.19466): the causal mask alone tells tokens apart.
 * Against rope: queries and keys do not turn.
 */
export const nope: PositionMethod = {
  id: 'nope',
  summary: 'no position information beside the causal mask',
  paper: 'arXiv:2305.19466',
  equation: 'q_t and k_t stay as they are',
  parent: 'rope',
  defaults: {},
  limits: [{ settings: {}, inputs: 'one token', tolerance: 0 }],
  provenance: 'paper',
  assumes: [],
  apply: () => ({}),
};
