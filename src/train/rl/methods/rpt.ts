import { wrap } from '../compose.js';
import { corpusContexts, prefixReward } from '../parts/nextTokenReasoning.js';
import type { RlMethod } from './slot.js';

/**
 * RPT, reinforcement pre-training (Dong et al. 2025, arXiv:2506.08007): the policy thinks, then predicts how the corpus goes on.
 *   r(y) = 1 if y = x_{>= t}[1 : |y|] in bytes and |y| ends a token of x_{>= t}, else 0;   contexts x_{< t} where a model is uncertain of x_t
 * Against grpo: problems are contexts of a corpus of worked solutions instead of questions with answers; no label is read.
 */
export const rpt: RlMethod = {
  id: 'rpt',
  summary: 'predicts the next tokens of a corpus after a chain of thought, rewarded where they match',
  seed: 'S15',
  paper: 'arXiv:2506.08007',
  equation: 'r = 1(y is a prefix of x_{>=t} that ends with a token)',
  parent: 'grpo',
  defaults: { rpt_hard_share: 0.5, rpt_ask: '', rpt_marker: '#' },
  knobs: {
    rpt_hard_share: 'share of a text before whose least certain tokens it may be cut',
    rpt_ask: 'text behind a context, which asks for a thought and a prediction',
    rpt_marker: 'what stands between thought and prediction',
  },
  limits: [{ slot: 'reward', settings: {}, inputs: 'no corpus text', tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'the corpus is the column solution behind its problem; the first marker ends the thought',
    'uncertainty is the entropy of the policy of the moment, the threshold a share of the text; the paper has a fixed threshold under a model of its own',
  ],
  demo: { testbed: 'next-token-reasoning', baseline: 'sft-only', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: wrap(corpusContexts), reward: wrap(prefixReward) },
};
