import { tokenMeanAggregate } from '../parts/aggregate.js';
import { klCovariance } from '../parts/covariance.js';
import type { RlMethod } from './slot.js';

/**
 * KL-Cov (Cui et al. 2025, arXiv:2505.22617).
 * Against grpo: no clip; the tokens of the highest covariance of log-probability and advantage get a penalty kl_cov_coef |log rho| instead.
 */
export const klCov: RlMethod = {
  id: 'kl_cov',
  summary: 'a penalty on the ratio at the tokens of highest covariance',
  paper: 'arXiv:2505.22617',
  equation: 'L = mean_t [-rho A + kl_cov_coef |log rho| 1(C_t among the top kl_cov_ratio)]',
  parent: 'grpo',
  defaults: { kl_cov_ratio: 2e-3, kl_cov_coef: 1, beta: 0 },
  knobs: { kl_cov_ratio: 'share of tokens (at least one)', beta: 'coefficient of the KL penalty; 0 = no reference' },
  limits: [{ slot: 'surrogate', settings: { kl_cov_coef: 0 }, inputs: 'ratios near 1', tolerance: 1e-6 }],
  provenance: 'paper',
  assumes: ['token mean, and |log rho| as the KL, as the code of the paper has it'],
  recipe: true,
  slots: { surrogate: klCovariance, aggregate: tokenMeanAggregate },
};
