import type { Settings } from '../../../contracts/index.js';
import { VitroError } from '../../../tensor/errors.js';
import type { Advantage, HostContext, NamedReward, Reward } from '../contract.js';
import type { ScoredSample } from '../trajectory.js';
import { deviation } from './advantage.js';
import { placesBy } from './answers.js';

/** A verifier (0 or 1) and a dense scorer in one reward (Tao et al. 2025, arXiv:2510.07242). */

/** names of the user's reward functions; '' = the first and the second */
const roles = { hero_verifier: '', hero_model: '' } as const;

/** Names of the two reward functions. @throws VitroError where there are not two */
function namesOf({ hero_verifier, hero_model }: Settings, rewards: readonly NamedReward[]): { verifier: string; model: string } {
  const verifier = String(hero_verifier) || rewards[0]?.name;
  const model = String(hero_model) || rewards.find(({ name }) => name !== verifier)?.name;
  const known = rewards.map(({ name }) => name);
  if (verifier === undefined || model === undefined || !known.includes(verifier) || !known.includes(model))
    throw new VitroError(`hero needs two reward functions, a verifier and a dense scorer; there are: ${known.join(', ') || 'none'}`);
  return { verifier, model };
}

const scoreOf = (sample: ScoredSample, name: string): number => sample.rewards[name] ?? 0;

/**
 * The dense scores m of a group, min-max normalised among its right and among its wrong samples, so that every right one ranks above every wrong one:
 *   wrong: -alpha + 2 alpha (m - min) / (max - min + 1e-6);   right: 1 - beta + 2 beta (m - min) / (max - min + 1e-6)
 */
export const withStratifiedScores = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+stratified`,
  defaults: { ...inner.defaults, ...roles, hero_alpha: 0.05, hero_beta: 0.05 },
  score: async (samples, context) => {
    const { verifier, model } = namesOf(context.settings, context.rewards);
    const scored = await inner.score(samples, context.of(inner));
    const [alpha, beta] = [context.number('hero_alpha'), context.number('hero_beta')];
    const right = (s: ScoredSample): boolean => scoreOf(s, verifier) > 0.5;
    const out = new Float64Array(scored.length);
    for (const places of placesBy(scored, (s) => `${right(s as ScoredSample)} ${s.group}`)) {
      const own = places.map((i) => scoreOf(scored[i] as ScoredSample, model));
      const [low, high] = [Math.min(...own), Math.max(...own)];
      for (const [k, i] of places.entries()) {
        const within = ((own[k] as number) - low) / (high - low + 1e-6);
        out[i] = right(scored[i] as ScoredSample) ? 1 - beta + 2 * beta * within : -alpha + 2 * alpha * within;
      }
    }
    return scored.map((s, i) => ({ ...s, reward: out[i] as number, rewards: { ...s.rewards, hybrid: out[i] as number } }));
  },
});

interface RunningMean {
  sum: number;
  count: number;
}

/**
 * Credit times w = w_min + (w_max - w_min) / (1 + exp(-k (sigma - mean sigma))), sigma being the deviation of the dense scores of a group and the mean that of
 * all groups so far. The weight stands at the advantage because a division by the rewards' deviation would take it out again; without that division both
 * are the same.
 */
export const withDifficultyWeight = (inner: Advantage): Advantage<RunningMean> => ({
  ...inner,
  name: `${inner.name}+difficulty`,
  defaults: { ...inner.defaults, ...roles, hero_w_min: 0.4, hero_w_max: 3, hero_steepness: 6 },
  init: () => ({ sum: 0, count: 0 }),
  compute: (batch, context: HostContext<RunningMean>) => {
    const { model } = namesOf(context.settings, context.rewards);
    const credit = inner.compute(batch, context.of(inner));
    const spreads = Array.from({ length: batch.groups }, (_, g) => {
      const { start, end } = batch.group(g);
      return deviation(batch.samples.slice(start, end).map((s) => scoreOf(s, model)));
    });
    const { state } = context;
    for (const s of spreads) {
      state.sum += s;
      state.count++;
    }
    const mean = state.sum / Math.max(1, state.count);
    const [low, high, k] = [context.number('hero_w_min'), context.number('hero_w_max'), context.number('hero_steepness')];
    const weights = batch.perGroup((_, g) => low + (high - low) / (1 + Math.exp(-k * ((spreads[g] as number) - mean))));
    const own = credit.length === batch.tokens ? batch.spread(weights) : weights;
    return credit.map((a, i) => a * (own[i] as number));
  },
});
