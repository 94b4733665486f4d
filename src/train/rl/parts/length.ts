import type { HostContext, Reward } from '../contract.js';
import type { Sample, ScoredSample } from '../trajectory.js';

/**
 * Rewards that depend on how long right answers are. Legend: r reward of the recipe, l tokens that the policy chose, L = max_completion_length. A sample is
 * right where r > 0.
 */

/** Tokens that the policy chose. */
export const chosenTokens = ({ segments }: Pick<Sample, 'segments'>): number =>
  segments.reduce((n, { actions }) => n + actions.reduce((a, b) => a + b, 0), 0);

export const isRight = ({ reward }: Pick<ScoredSample, 'reward'>): boolean => reward > 0;

/** The samples of each group. */
export function groupsOf<T extends Sample>(samples: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const s of samples) {
    const own = groups.get(s.group);
    if (own) own.push(s);
    else groups.set(s.group, [s]);
  }
  return [...groups.values()];
}

/** The sample with a further reward. */
export const withReward = (sample: ScoredSample, name: string, value: number): ScoredSample => ({
  ...sample,
  reward: sample.reward + value,
  rewards: { ...sample.rewards, [name]: value },
});

/**
 * Linear in the length, relative to the group (Kimi Team 2025, arXiv:2501.12599): with u = 1/2 - (l - min l) / (max l - min l), a right answer gets
 * length_coef u and a wrong one length_coef min(0, u); nothing where all lengths are equal.
 */
export const withLengthPenalty = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+length`,
  defaults: { ...inner.defaults, length_coef: 0.4 },
  score: async (samples, context) => {
    const scored = await inner.score(samples, context.of(inner));
    const bounds = new Map<string, { readonly least: number; readonly most: number }>();
    for (const own of groupsOf(scored)) {
      const lengths = own.map(chosenTokens);
      bounds.set((own[0] as ScoredSample).group, { least: Math.min(...lengths), most: Math.max(...lengths) });
    }
    return scored.map((s) => {
      const { least, most } = bounds.get(s.group) ?? { least: 0, most: 0 };
      const u = most > least ? 0.5 - (chosenTokens(s) - least) / (most - least) : 0;
      return withReward(s, 'length', context.number('length_coef') * (isRight(s) ? u : Math.min(0, u)));
    });
  },
});

/** A right answer of at most laser_target L tokens gets laser_alpha more (Liu et al. 2025, arXiv:2505.15612). */
export const withLengthStep = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+length step`,
  defaults: { ...inner.defaults, laser_alpha: 0.5, laser_target: 0.5 },
  score: async (samples, context) => {
    const scored = await inner.score(samples, context.of(inner));
    const target = context.number('laser_target') * context.number('max_completion_length');
    return scored.map((s) => withReward(s, 'length', stepBonus(s, target, context)));
  },
});

export const stepBonus = (sample: ScoredSample, target: number, { number }: Pick<HostContext, 'number'>): number =>
  isRight(sample) && chosenTokens(sample) <= target ? number('laser_alpha') : 0;

/** A reward above 0 is discounted by every token before it (Ayoub et al. 2025, arXiv:2510.23486): r discount^l. */
export const withDiscount = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+discount`,
  defaults: { ...inner.defaults, discount: 0.995 },
  score: async (samples, context) => {
    const scored = await inner.score(samples, context.of(inner));
    return scored.map((s) => (isRight(s) ? { ...s, reward: s.reward * context.number('discount') ** chosenTokens(s) } : s));
  },
});
