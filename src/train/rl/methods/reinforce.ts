import type { RlMethod } from './slot.js';

/**
 * REINFORCE: the reward of a completion is the weight of all its tokens. The root of the slot; no baseline, no ratio, no reference.
 */
export const reinforce: RlMethod = {
  id: 'reinforce',
  summary: 'policy gradient with the plain reward',
  paper: 'Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"',
  equation: 'L = -mean_i r_i sum_t log pi(o_it)',
  defaults: {},
  limits: [],
  provenance: 'paper',
  assumes: [],
  recipe: true,
  slots: {},
};
