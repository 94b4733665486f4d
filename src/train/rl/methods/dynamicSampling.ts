import { dynamicSamplingFilter } from '../parts/reward.js';
import type { RlMethod } from './slot.js';

/**
 * Dynamic sampling (Yu et al. 2025, arXiv:2503.14476): problems that all completions solve, or none, give no gradient; others are sampled in their place.
 * Against grpo: the filter.
 */
export const dynamicSampling: RlMethod = {
  id: 'dynamic-sampling',
  summary: 'samples until every group has rewards that differ',
  paper: 'arXiv:2503.14476',
  equation: '0 < correct completions < G for every problem of the batch',
  parent: 'grpo',
  defaults: {},
  limits: [{ slot: 'filter', settings: {}, inputs: 'rewards that differ', tolerance: 0 }],
  provenance: 'paper',
  assumes: ['at most max_refills rounds, then the step trains on what there is'],
  slots: { filter: dynamicSamplingFilter },
};
