import type { SamplerMethod } from './slot.js';

/**
 * Draws from the model's own distribution: P(token) = softmax(logits). The root of the slot.
 */
export const sample: SamplerMethod = {
  id: 'sample',
  summary: "draws from the model's own distribution",
  paper: '',
  equation: 'y ~ softmax(z)',
  defaults: {},
  limits: [],
  provenance: 'derived',
  assumes: [],
  scalars: [],
  transform: (logits) => logits,
  check: () => undefined,
};
