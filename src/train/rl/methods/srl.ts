import { wrap } from '../compose.js';
import { expertSimilarity, nextStepRollout, withExpertPrefixes } from '../parts/expertSteps.js';
import { dynamicSamplingFilter } from '../parts/reward.js';
import type { RlMethod } from './slot.js';

/**
 * SRL, supervised reinforcement learning (Deng et al. 2025, arXiv:2510.25992): the policy writes the next step behind a prefix of an expert's solution.
 *   R = 2 M / T between its step and the expert's (M characters in matching runs, T of both), -1 for an invalid one
 * Against grpo: problems are prefixes, completions end with the step, the reward is similarity; groups of equal rewards are sampled anew.
 */
export const srl: RlMethod = {
  id: 'srl',
  summary: 'next steps of expert solutions, rewarded by similarity',
  seed: 'P323',
  paper: 'arXiv:2510.25992',
  equation: "R = 2 M / T of the step and the expert's step, -1 if invalid",
  parent: 'grpo',
  defaults: { step_separator: ';' },
  knobs: { step_separator: 'ends a step' },
  limits: [
    { slot: 'reward', settings: {}, inputs: 'one-character steps', tolerance: 0 },
    { slot: 'filter', settings: {}, inputs: 'rewards that differ', tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the equations as a summary of the paper quotes them',
    'invalid: empty, or not ended within max_completion_length (the paper asks for a thought before the step, which is not part of these solutions)',
    'a prefix of 0 to N - 1 steps, uniformly; the last step includes the answer',
    'groups are kept if any two rewards differ',
  ],
  demo: { testbed: 'arithmetic-hard', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: wrap(withExpertPrefixes), rollout: nextStepRollout, reward: expertSimilarity, filter: dynamicSamplingFilter },
};
