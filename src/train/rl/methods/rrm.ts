import { wrap } from '../compose.js';
import { askedRollout, bothOrders, verdictReward } from '../parts/pairwise.js';
import type { RlMethod } from './slot.js';

/**
 * RRM, reward reasoning model (Guo et al. 2025, arXiv:2505.14674): a judge that thinks before it says which of two answers is better, trained on the verdict
 * alone.
 *   R = +1 if the verdict names the preferred answer, else -1
 * Against grpo: problems are pairs (columns `chosen`, `rejected`), each in both orders; the reward is the rule. `generativeJudge` puts the policy to use in
 * tournaments.
 */
export const rrm: RlMethod = {
  id: 'rrm',
  summary: 'a judge of pairs of answers that thinks before its verdict',
  seed: 'S20',
  paper: 'arXiv:2505.14674',
  equation: 'R = +1 if the verdict names the preferred answer, else -1',
  parent: 'grpo',
  defaults: { rrm_template: '{question}?{first}|{second}', rrm_labels: 'A,B', rrm_ask: '', answer_pattern: '' },
  knobs: {
    rrm_template: 'how a pair is put, with {question}, {first} and {second}',
    rrm_labels: 'the verdicts for the first and for the second answer',
    rrm_ask: 'text behind the pair, which asks for a thought before the verdict; empty = the template asks itself',
    answer_pattern: 'regular expression of the verdict, its first group; empty = what follows the last #',
  },
  limits: [
    { slot: 'reward', settings: {}, inputs: 'no pairs', tolerance: 0 },
    { slot: 'rollout', settings: { rrm_ask: '' }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'every pair comes in both orders in the same step; the paper has one prompt a pair and tells the judge to disregard the order',
    'a verdict that cannot be read is a wrong one',
  ],
  demo: { testbed: 'pairwise-judging', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: wrap(bothOrders), rollout: wrap(askedRollout), reward: wrap(verdictReward) },
};
