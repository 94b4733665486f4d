import { wrap } from '../compose.js';
import type { Rollout } from '../contract.js';
import { sampleTrees } from '../parts/lookaheadRollout.js';
import { innerRollout, numberList } from '../parts/partialRollouts.js';
import type { RlMethod } from './slot.js';

const withTrees = (inner: Rollout): Rollout => ({
  ...inner,
  name: `${inner.name}+lookahead-trees`,
  defaults: {
    ...inner.defaults,
    latr_least: 0.25,
    latr_gap: 0.15,
    latr_windows: [4, 8, 12],
    latr_resemblance: 0.4,
    latr_from: [0, 10, 20, 80, 200],
    latr_share: [1, 0.75, 0.5, 0.25, 0],
  },
  sample: async (prompts, context) => {
    const { num_generations: n, step } = context;
    const from = numberList(context, 'latr_from');
    const share = numberList(context, 'latr_share')[
      Math.max(
        0,
        from.findLastIndex((s) => s <= step),
      )
    ] as number;
    const grown = Math.round(n * share);
    const trees = grown === 0 ? [] : await sampleTrees(prompts, grown, context);
    if (grown === n) return trees;
    return [...trees, ...(await inner.sample(prompts, innerRollout(inner, context, { num_generations: n - grown })))];
  },
});

/**
 * LATR, lookahead tree-based rollouts (Xing et al. 2025, arXiv:2510.24302): a share of each group are leaves of a tree. Branches follow the most probable token; where the
 * second one is nearly as probable it begins a branch, which is given up if r tokens later it still resembles its parent.
 *   branch at p_2 > tau_abs and p_1 - p_2 < tau_rel;   prune at edit(o_t..t+r, parent) / r < tau_ed;   random completions from the leaves on
 * Against grpo: the rollout.
 */
export const latr: RlMethod = {
  id: 'latr',
  summary: 'groups branch at uncertain tokens and drop branches that stay alike',
  seed: 'P259',
  paper: 'arXiv:2510.24302',
  equation: 'branch at p_2 > tau_abs, p_1 - p_2 < tau_rel; prune at edit(o, parent) / r < tau_ed after r tokens',
  parent: 'grpo',
  defaults: { latr_windows: [4, 8, 12], latr_share: [1, 0.75, 0.5, 0.25, 0] },
  knobs: {
    latr_windows: 'r: ages in tokens at which branches are compared; the paper has 20, 30, 50 with subwords',
    latr_share: 'share of the group that comes from the tree, from the steps latr_from on',
  },
  limits: [{ slot: 'rollout', settings: { latr_share: [0, 0, 0, 0, 0] }, inputs: 'chain problems', tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'r 4, 8 and 12 for tokens that are characters',
    'a tree ends when it is full and every branch has been compared, at half of max_completion_length, or when all branches have ended',
    'a branch whose parent was given up before the comparison stays; missing leaves become independent completions (the code repeats one)',
  ],
  demo: {
    testbed: 'countdown-diverse',
    baseline: 'grpo',
    method: 'grpo+latr',
    metric: 'distinct@16',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { rollout: wrap(withTrees) },
};
