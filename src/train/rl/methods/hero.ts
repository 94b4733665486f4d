import { wrap } from '../compose.js';
import { withDifficultyWeight, withStratifiedScores } from '../parts/hybridReward.js';
import type { RlMethod } from './slot.js';

/**
 * HERO, hybrid ensemble reward optimization (Tao et al. 2025, arXiv:2510.07242): an exact verifier decides, a dense scorer refines.
 *   r = -alpha + 2 alpha m' for wrong, 1 - beta + 2 beta m' for right completions; m' the dense score, min-max normalised among the right or the wrong of a group
 *   w = w_min + (w_max - w_min) sigmoid(k (sigma - mean sigma)), sigma the deviation of the dense scores of the group
 * Against grpo: two reward functions are stratified instead of added, and problems are weighted by w. w multiplies the advantage: the paper multiplies the
 * reward, where GRPO's division by the standard deviation would cancel it.
 */
export const hero: RlMethod = {
  id: 'hero',
  summary: 'dense scores within the bounds that an exact verifier sets',
  seed: 'P069',
  paper: 'arXiv:2510.07242',
  equation: "r = -alpha + 2 alpha m' if wrong, 1 - beta + 2 beta m' if right; A *= w_min + (w_max - w_min) sigmoid(k (sigma - mean sigma))",
  parent: 'grpo',
  defaults: { hero_verifier: '', hero_model: '', hero_alpha: 0.05, hero_beta: 0.05, hero_w_min: 0.4, hero_w_max: 3, hero_steepness: 6 },
  knobs: {
    hero_verifier: 'name of the reward function that gives 0 or 1; empty = the first',
    hero_model: 'name of the dense reward function; empty = the next',
    hero_alpha: 'half the range of wrong completions (paper: 0.05, 0.1 where the verifier is unreliable)',
    hero_beta: 'half the range of right completions',
    hero_w_min: 'weight of problems whose dense scores agree',
    hero_w_max: 'weight of problems whose dense scores differ',
    hero_steepness: 'k, in units of one over the dense score',
  },
  limits: [
    { slot: 'reward', settings: { hero_alpha: 0, hero_beta: 0 }, inputs: 'verifier and dense scorer', tolerance: 0 },
    { slot: 'advantage', settings: { hero_w_min: 1, hero_w_max: 1 }, inputs: 'verifier and dense scorer', tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'equations and settings of the first version as a reproduction and a summary of the paper quote them',
    'mean sigma is over all groups so far, those of the step included',
    'more than 0.5 from the verifier is right',
  ],
  demo: { testbed: 'arithmetic-dense-reward', baseline: 'grpo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { reward: wrap(withStratifiedScores), advantage: wrap(withDifficultyWeight) },
};
