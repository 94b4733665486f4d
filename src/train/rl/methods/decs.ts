import { decoupledAdvantage, easyShare } from '../parts/decoupledReward.js';
import type { RlMethod } from './slot.js';

/**
 * DECS (Jiang et al. 2025, arXiv:2509.25827): decoupled token rewards and a curriculum of easy problems.
 *   r_it = r_i (1 + beta), but r_i + beta (1 - l_i / L) at tokens behind the first step that comes to the (right) answer
 *   A_it = (r_it - mean_j r_jt) / (std_j r_jt + 1e-4) at each place t of the group
 *   groups that are all right: at most the share kappa of a batch,   kappa += rate (R - R of the step before), R the mean necessary share of the steps
 * Against grpo: rewards and their normalisation are those of tokens, so that brevity is asked of redundant tokens alone; the filter samples other problems
 * in place of groups with equal rewards, but for a share of easy ones.
 */
export const decs: RlMethod = {
  id: 'decs',
  summary: 'tokens behind the first step that has the answer earn less; easy problems come in by measure',
  seed: 'P278',
  paper: 'arXiv:2509.25827',
  equation: 'r_it = r_i (1 + beta), at redundant tokens r_i + beta (1 - l_i / L); A_it normalised over the group at each place t',
  parent: 'grpo',
  defaults: { decs_beta: 0.1, decs_kappa: 0, decs_kappa_rate: 0.2 },
  knobs: {
    decs_beta: 'what necessary tokens of right answers earn beside the reward',
    decs_kappa: 'largest share of groups that are all right at the start',
    decs_kappa_rate: 'how much of a change of the necessary share the largest share of easy groups follows',
  },
  limits: [
    { slot: 'advantage', settings: { decs_beta: 0 }, inputs: 'redundant steps', tolerance: 1e-12 },
    { slot: 'filter', settings: {}, inputs: 'rewards that differ', tolerance: 0 },
  ],
  provenance: 'repo',
  assumes: [
    'a step has the answer where the text behind its last = is the answer that the completion gives (paper: a trained judge)',
    'right samples in which no step has the answer are necessary throughout, and do not count for R, nor do wrong ones',
    'easy groups are those of equal rewards above 0; of more than may train, the first',
    '1e-4 beside the standard deviation, as in grpo; at most max_refills rounds of sampling',
  ],
  demo: {
    testbed: 'arithmetic-verbose',
    baseline: 'grpo+length-penalty',
    method: 'grpo+decs',
    metric: 'concise',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { advantage: decoupledAdvantage, filter: easyShare },
};
