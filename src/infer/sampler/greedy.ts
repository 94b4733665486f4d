import type { SamplerMethod } from './slot.js';

/**
 * Takes the most probable token: y = argmax z, the first of equal ones.
 * Against sample: nothing is drawn.
 */
export const greedy: SamplerMethod = {
  id: 'greedy',
  summary: 'takes the most probable token',
  paper: '',
  equation: 'y = argmax z',
  parent: 'sample',
  defaults: {},
  limits: [],
  provenance: 'derived',
  assumes: ['of equal logits the first wins'],
  scalars: [],
  deterministic: true,
  transform: (logits) => logits,
  check: () => undefined,
};
