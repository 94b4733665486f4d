import { wrap } from '../compose.js';
import { withEntropyGate } from '../parts/entropyCredit.js';
import type { RlMethod } from './slot.js';

/**
 * EG-GRPO (Song et al. 2026, arXiv:2604.02355).
 *   A_t = 0 at the fifth of a completion's tokens with the lowest entropy;   A_t = A + min(0.3 |A|, 0.3 H_t / log V) at the half with the highest
 * Against grpo: a wrapper of the advantage. The KL penalty still holds at every token. The paper's completions are a text and the tokens of an image,
 * each gated by shares of its own; here they are text.
 */
export const egGrpo: RlMethod = {
  id: 'eg-grpo',
  summary: 'tokens of low entropy get no advantage, those of high entropy a bonus',
  seed: 'P228',
  paper: 'arXiv:2604.02355',
  equation: 'A_t = (A + min(limit |A|, coef H_t / log V) 1(H_t in the high share)) 1(H_t not in the low share)',
  parent: 'grpo',
  defaults: { eg_low_share: 0.2, eg_high_share: 0.5, eg_coef: 0.3, eg_limit: 0.3 },
  knobs: {
    eg_low_share: 'share of the tokens of a completion that get no advantage',
    eg_high_share: 'share of the tokens of a completion that get the bonus',
    eg_coef: 'bonus at the entropy of a uniform distribution',
    eg_limit: 'largest bonus, as a share of the advantage',
  },
  limits: [{ slot: 'advantage', settings: { eg_low_share: 0, eg_coef: 0 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: ['text tokens alone', 'entropies of the rollout, over the drawn distribution'],
  demo: { testbed: 'countdown-s', baseline: 'grpo', method: 'grpo+eg-grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { advantage: wrap(withEntropyGate) },
};
