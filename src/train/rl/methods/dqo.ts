import { wrap } from '../compose.js';
import { withVolume } from '../parts/diversity.js';
import type { RlMethod } from './slot.js';

/**
 * Diversity quality optimization (Chen et al. 2025, arXiv:2509.04784): the volume that the embeddings of a group span is rewarded beside their quality.
 *   r_i += alpha log [det(L + I) / det(L_-i + I)],   L the inner products of the embeddings of the group's answers
 * Against grpo: a term of the reward. Without the determinant of the others, which does not depend on the answer, it would be the regularised log det of the group.
 */
export const dqo: RlMethod = {
  id: 'dqo',
  summary: 'rewards what an answer adds to the volume that the embeddings of its group span',
  seed: 'P104',
  paper: 'arXiv:2509.04784',
  equation: 'r_i += alpha (log det(L + I) - log det(L_-i + I))',
  parent: 'grpo',
  defaults: { dqo_alpha: 0.5 },
  knobs: { dqo_alpha: 'weight of the term, which lies between 0 and log 2' },
  limits: [{ slot: 'reward', settings: { dqo_alpha: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'embeddings are means of the last hidden states of the start policy, centred over the step and of length 1 (paper: a pretrained sentence encoder)',
    'alpha 0.5',
    'wrong answers get the term too, as the formula has it',
  ],
  demo: {
    testbed: 'countdown-diverse',
    baseline: 'grpo',
    method: 'grpo+dqo',
    metric: 'distinct@16',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { reward: wrap(withVolume) },
};
