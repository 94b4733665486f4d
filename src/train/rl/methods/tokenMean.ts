import { tokenMeanAggregate } from '../parts/aggregate.js';
import type { RlMethod } from './slot.js';

/**
 * Token mean (Yu et al. 2025, arXiv:2503.14476): every token of a batch weighs alike, so long answers weigh more.
 * Against grpo: the aggregate.
 */
export const tokenMean: RlMethod = {
  id: 'token-mean',
  summary: 'the loss is a mean over all tokens of the batch',
  paper: 'arXiv:2503.14476',
  equation: 'L = sum_i sum_t loss_it / sum_i l_i',
  parent: 'grpo',
  defaults: {},
  limits: [{ slot: 'aggregate', settings: {}, inputs: 'equal lengths', tolerance: 1e-15 }],
  provenance: 'paper',
  assumes: [],
  slots: { aggregate: tokenMeanAggregate },
};
