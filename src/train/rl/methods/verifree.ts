import { also, wrap } from '../compose.js';
import { referenceLikelihood, weightedReference, withoutOwnAnswers } from '../parts/referenceLikelihood.js';
import type { RlMethod } from './slot.js';

/**
 * VeriFree (Zhou et al. 2025, arXiv:2505.21493): no verifier; the reward of a reasoning z is the probability that the reference answer y* follows it.
 *   grad J = E_z[A(z) grad log pi(z | x) + p(y* | x, z) grad log pi(y* | x, z)],   A = p(y* | x, z) - mean of the others of the group
 * Against rloo: the expectation over the policy's own answers is taken exactly, so they neither train nor are judged; y* trains in their place.
 */
export const verifree: RlMethod = {
  id: 'verifree',
  summary: 'the probability of the reference answer behind the reasoning is the reward',
  seed: 'P123',
  paper: 'arXiv:2505.21493',
  equation: 'grad J = E_z[(p(y*|x,z) - baseline) grad log pi(z|x) + p(y*|x,z) grad log pi(y*|x,z)]',
  parent: 'rloo',
  defaults: { answer_marker: '#', answer_column: 'answer', answer_coef: 1 },
  knobs: {
    answer_marker: 'ends the reasoning',
    answer_column: 'column with the reference answers',
    answer_coef: 'weight of the term that trains the reference answer; 1 = the gradient of the paper',
  },
  limits: [{ slot: 'reward', settings: {}, inputs: 'certain answers', tolerance: 1e-12 }],
  provenance: 'repo',
  assumes: [
    'z ends with the marker, which it chose itself; y* includes the end of the completion',
    'reasoning without the marker has reward 0',
  ],
  demo: { testbed: 'arithmetic-graded', baseline: 'rloo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { rollout: wrap(withoutOwnAnswers), reward: referenceLikelihood, auxiliary: also(weightedReference) },
};
