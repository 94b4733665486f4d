import { wrap } from '../compose.js';
import type { Rollout } from '../contract.js';
import { innerRollout, inStage } from '../parts/partialRollouts.js';
import type { Trajectory } from '../trajectory.js';
import type { RlMethod } from './slot.js';

/** how far p is kept from 1 */
const margin = 1e-4;

const meanOf = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / Math.max(1, x.length);
const entropyOf = (own: readonly Trajectory[]): number => meanOf(own.flatMap((t) => t.segments.flatMap((s) => [...s.entropies])));

/** Weights of log p whose gradient is that of sum_o mean_t -log(1 - p) / (number of completions): p / (1 - p), scaled. */
export const forgettingWeights = (trajectories: readonly Trajectory[]) =>
  trajectories.flatMap(({ segments }) => {
    const length = segments.reduce((n, s) => n + s.tokens.length, 0);
    return segments.map(({ context, tokens, logps }) => {
      const p = Float64Array.from(logps, (l) => Math.min(Math.exp(l), 1 - margin));
      return { context, tokens, weights: p.map((x) => x / (1 - x) / (length * trajectories.length)) };
    });
  });

const sampleThenForget = (inner: Rollout): Rollout => {
  const rollout: Rollout<{ entropies: number[] }> = {
    ...inner,
    name: `${inner.name}+sample-then-forget`,
    defaults: { ...inner.defaults, eepo_rate: 0.03, eepo_entropy: 0.3, eepo_window: 3 },
    init: () => ({ entropies: [] }),
    sample: async (prompts, context) => {
      const { state, policy, num_generations } = context;
      const collapsed = state.entropies.length > 0 && meanOf(state.entropies) < context.number('eepo_entropy');
      const half = collapsed ? Math.ceil(num_generations / 2) : num_generations;
      const first = await inner.sample(prompts, innerRollout(inner, context, { num_generations: half }));
      state.entropies = [...state.entropies, entropyOf(first)].slice(-context.number('eepo_window'));
      context.metric('eepo_forgets', collapsed ? 1 : 0);
      if (half === num_generations) return first;
      const rest = { num_generations: num_generations - half, policy: inStage(policy, 'second half') };
      const second = await policy.nudged(forgettingWeights(first), -context.number('eepo_rate'), () =>
        inner.sample(prompts, innerRollout(inner, context, rest)),
      );
      return [...first, ...second];
    },
  };
  return rollout;
};

/**
 * EEPO (Chen et al. 2025, arXiv:2510.05837): when the entropy has collapsed, half of each group is drawn, a single step on a copy of the policy makes it unlikely, the
 * other half is drawn from the copy, and all are trained on.
 *   theta' = theta - eta grad mean_o mean_t [-log(1 - p_t)],   p_t = min(pi_theta(o_t), 1 - eps),   if the mean entropy of the last m steps < alpha
 * Against grpo: the rollout. Ratios of the second half are taken to the copy, from which it was drawn.
 */
export const eepo: RlMethod = {
  id: 'eepo',
  summary: 'the second half of a group is drawn from weights that have unlearned the first half for the moment',
  seed: 'P046',
  paper: 'arXiv:2510.05837',
  equation: "theta' = theta - eta grad mean_o mean_t [-log(1 - p_t)] where the entropy is below alpha",
  parent: 'grpo',
  defaults: { eepo_rate: 0.03, eepo_entropy: 0.3 },
  knobs: {
    eepo_rate: 'learning rate eta of the step that forgets',
    eepo_entropy: 'alpha in nats a token; a large value forgets in every step',
  },
  limits: [{ slot: 'rollout', settings: { eepo_entropy: 0 }, inputs: 'chain problems', tolerance: 0 }],
  provenance: 'derived',
  assumes: [
    'from a description of the paper, which has a rate of 3e-3; with 0.3M parameters and characters as tokens that moves nothing, 0.3 breaks the answers',
    'the step lowers p, so it descends on -log(1 - p)',
    'the entropies are those of the steps before, so that the first step never forgets; eps 1e-4, beyond which the weight stays constant',
  ],
  demo: {
    testbed: 'countdown-diverse',
    baseline: 'grpo',
    method: 'grpo+eepo',
    metric: 'distinct@16',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { rollout: wrap(sampleThenForget) },
};
