import type { HostContext, Reward } from '../contract.js';
import type { ScoredSample } from '../trajectory.js';
import { chosenTokens, groupsOf, isRight, stepBonus, withReward } from './length.js';

/** The step reward with a target for each difficulty that follows the policy: LASER-D (Liu et al. 2025, arXiv:2505.15612). */

/** Difficulties by the share of right answers in a group: below 1/3, below 2/3, the rest. */
export const difficultyOf = (group: readonly ScoredSample[]): 0 | 1 | 2 => {
  const share = group.filter(isRight).length / group.length;
  return share >= 2 / 3 ? 2 : share >= 1 / 3 ? 1 : 0;
};

/** Right answers that a group of n of each difficulty has at least; 1 where that is none. */
const leastRight = (n: number): readonly number[] => [1, Math.max(1, Math.floor(n / 3)), Math.max(1, Math.floor((2 * n) / 3))];

/**
 * The shortest length of the grid by which one right answer of a group is expected: (share of lengths up to it) x `right` >= 1. Where there is none, the longest.
 */
export function adaptiveTarget(lengths: readonly number[], right: number, grid: readonly number[], longest: number): number {
  const covered = (target: number): number => lengths.filter((l) => l <= target).length / Math.max(1, lengths.length);
  return grid.find((target) => covered(target) * right >= 1) ?? longest;
}

interface Monitor {
  /** tokens; empty before the first samples */
  targets: number[];
  /** of completions since the targets were set, by difficulty */
  lengths: number[][];
  /** step in which the targets were set */
  at: number;
}

function setTargets(state: Monitor, { number, step }: Pick<HostContext, 'number' | 'step'>): void {
  const longest = number('max_completion_length');
  const [lower, interval] = [number('laser_lower'), number('laser_interval')];
  const grid: number[] = [];
  for (let i = 0; lower + i * interval <= 1 + 1e-9; i++) grid.push((lower + i * interval) * longest);
  const right = leastRight(number('num_generations'));
  state.targets = state.lengths.map((own, d) => adaptiveTarget(own, right[d] as number, grid, longest));
  state.lengths = [[], [], []];
  state.at = step;
}

/** Right answers up to the target of their group's difficulty get laser_alpha more. Targets are set anew every laser_every steps from the completions since. */
export const withDifficultySteps = (inner: Reward): Reward<Monitor> => ({
  name: `${inner.name}+length steps`,
  ...(inner.needs ? { needs: inner.needs } : {}),
  defaults: { ...inner.defaults, laser_alpha: 0.5, laser_lower: 0.125, laser_interval: 0.0625, laser_every: 10 },
  init: () => ({ targets: [], lengths: [[], [], []], at: 0 }),
  score: async (samples, context) => {
    const scored = await inner.score(samples, context.of(inner));
    const { state, step, number, metric } = context;
    const difficulty = new Map<string, number>();
    for (const own of groupsOf(scored)) {
      const d = difficultyOf(own);
      difficulty.set((own[0] as ScoredSample).group, d);
      state.lengths[d]?.push(...own.map(chosenTokens));
    }
    if (state.targets.length === 0 || step - state.at >= number('laser_every')) setTargets(state, context);
    for (const [d, name] of ['hard', 'medium', 'easy'].entries()) metric(`length_target/${name}`, state.targets[d] as number);
    return scored.map((s) => withReward(s, 'length', stepBonus(s, state.targets[difficulty.get(s.group) ?? 0] as number, context)));
  },
});
