import { wrap } from '../compose.js';
import { both, entropyBonus as entropyBonusPenalty } from '../parts/penalty.js';
import type { RlMethod } from './slot.js';

/**
 * Entropy bonus (Williams and Peng 1991): the entropy of the policy at every token is rewarded.
 * Against grpo: a term beside the penalty.
 */
export const entropyBonus: RlMethod = {
  id: 'entropy-bonus',
  summary: 'rewards the entropy of the policy at every token',
  paper: 'Williams and Peng 1991, "Function optimization using connectionist reinforcement learning algorithms"',
  equation: 'L -= entropy_coef H(pi)',
  parent: 'grpo',
  defaults: { entropy_coef: 1e-3 },
  limits: [{ slot: 'penalty', settings: { entropy_coef: 0 }, tolerance: 1e-7 }],
  provenance: 'paper',
  assumes: [],
  slots: { penalty: wrap((inner) => both(inner, entropyBonusPenalty)) },
};
