import { onesLike } from '../../tensor/ops/create.js';
import { neg } from '../../tensor/ops/elementwise.js';
import type { SftMethod } from './slot.js';

/** Supervised fine-tuning: mean cross-entropy of the tokens that are trained on. The root of the slot. */
export const sft: SftMethod = {
  id: 'sft',
  summary: 'cross-entropy of the demonstration',
  paper: 'Ouyang et al. 2022, arXiv:2203.02155',
  equation: 'L = mean_t -log p(x_t | x_{<t}) over the tokens of the completion',
  defaults: {},
  limits: [],
  provenance: 'paper',
  assumes: [],
  target: ({ policy }) => neg(policy.logp),
  weight: ({ sequences }) => onesLike(sequences.counted),
  mask: ({ sequences }) => sequences.counted,
};
