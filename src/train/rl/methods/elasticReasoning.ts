import { elasticRollout } from '../parts/thinkingBudget.js';
import type { RlMethod } from './slot.js';

/**
 * Elastic Reasoning (Xu et al. 2025, arXiv:2505.05315): budget-constrained rollouts.
 *   thinking: until its end mark, at most t tokens, else the mark is written for the policy;   solution: at most s tokens behind the mark
 * Against grpo: the rollout. A cut thought is followed by an answer nevertheless, so that training asks for good answers from unfinished thoughts.
 * Evaluation has to decode in this way, too: with the recipe's rollout, at the budgets of interest.
 */
export const elasticReasoning: RlMethod = {
  id: 'elastic-reasoning',
  summary: 'separate budgets for thinking and solution; a thought that runs over is cut and answered',
  seed: 'P314',
  paper: 'arXiv:2505.05315',
  equation: 'y = (thought of at most t tokens, mark, solution of at most s tokens)',
  parent: 'grpo',
  defaults: { thinking_share: 0.5, solution_share: 0.5 },
  knobs: {
    thinking_share: 't as a share of max_completion_length',
    solution_share: 's as a share of max_completion_length',
  },
  limits: [{ slot: 'rollout', settings: { thinking_share: 1, solution_share: 1 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: ['a mark that was written for the policy does not train (repository: it does)', 'it counts as a token of the solution'],
  demo: {
    testbed: 'thinking-budgets',
    baseline: 'grpo',
    method: 'grpo+elastic-reasoning',
    metric: 'budgeted',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { rollout: elasticRollout },
};
