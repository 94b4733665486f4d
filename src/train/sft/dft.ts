import { exp, stopGradient } from '../../tensor/ops/elementwise.js';
import type { SftMethod } from './slot.js';

/**
 * Dynamic fine-tuning (Wu et al. 2025, arXiv:2508.05629, equation 9): L = mean_t -sg(p_t) log p_t.
 * Against sft: every token is weighted with its own probability, so that improbable ones do not dominate the gradient.
 */
export const dft: SftMethod = {
  id: 'dft',
  summary: 'tokens are weighted with their own probability',
  paper: 'arXiv:2508.05629',
  equation: 'L = mean_t -sg(p_t) log p_t',
  parent: 'sft',
  defaults: { probability_power: 1 },
  knobs: { probability_power: 'the weight is the probability to this power; 0 is sft' },
  limits: [{ settings: { probability_power: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the power is ours: the paper has 1'],
  weight: ({ policy, settings }) => stopGradient(exp(policy.logp.mul(Number(settings.probability_power)))),
};
