import type { Settings } from '../../contracts/index.js';
import type { RlSlots } from './contract.js';
import { rawReturn } from './parts/advantage.js';
import { seqMeanTokenSum } from './parts/aggregate.js';
import { noPenalty } from './parts/penalty.js';
import { functionRewards, keepAll } from './parts/reward.js';
import { byPrompt, flatRollout, noBuffer, plainScaffold, shuffledPrompts, temperatureView } from './parts/sampling.js';
import { policyGradient } from './parts/surrogate.js';
import { epochs } from './parts/update.js';

/** What the root of the methods patches: REINFORCE without a baseline. */
export const baseSlots: RlSlots = {
  prompts: shuffledPrompts,
  scaffold: plainScaffold,
  rollout: flatRollout,
  grouping: byPrompt,
  reward: functionRewards,
  filter: keepAll,
  buffer: noBuffer,
  advantage: rawReturn,
  surrogate: policyGradient,
  aggregate: seqMeanTokenSum,
  penalty: noPenalty,
  auxiliary: [],
  update: epochs,
  learners: [],
  policyView: temperatureView,
  phases: [],
};

/** Settings of the loop itself, by TRL's names. */
export const commonSettings = {
  /** completions of each problem */
  num_generations: 8,
  /** problems of a step */
  prompts_per_step: 8,
  max_completion_length: 256,
  /** tokens, padding included, of one part of a batch; larger minibatches add up gradients */
  max_batch_tokens: 8192,
  /** most rounds of sampling in a step where a filter asks for more */
  max_refills: 4,
} as const satisfies Settings;
