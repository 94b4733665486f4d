import { tokenMeanAggregate } from '../parts/aggregate.js';
import { clipCovariance } from '../parts/covariance.js';
import type { RlMethod } from './slot.js';

/**
 * Clip-Cov (Cui et al. 2025, arXiv:2505.22617).
 * Against grpo: the gradient of a few random tokens is taken away, out of those whose covariance of log-probability and advantage lies in
 * [clip_cov_lb, clip_cov_ub]: these are the ones that make entropy fall.
 */
export const clipCov: RlMethod = {
  id: 'clip_cov',
  summary: 'no gradient at a few tokens of high covariance',
  paper: 'arXiv:2505.22617',
  equation: 'C_t = (log pi_t - mean)(A_t - mean); L = ppo clip without clip_cov_ratio of the tokens with C in [lb, ub]',
  parent: 'grpo',
  defaults: { clip_cov_ratio: 2e-4, clip_cov_lb: 1, clip_cov_ub: 5, beta: 0 },
  knobs: {
    clip_cov_ratio: 'share of tokens (at least one, where there are candidates)',
    beta: 'coefficient of the KL penalty; 0 = no reference',
  },
  limits: [{ slot: 'surrogate', settings: { clip_cov_lb: 1e9, clip_cov_ub: 2e9 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['token mean, and tokens that the ratio clips are no candidates, as the code of the paper has it'],
  recipe: true,
  slots: { surrogate: clipCovariance, aggregate: tokenMeanAggregate },
};
