import type { JsonValue } from '../../../data/stream/batch.js';
import { VitroError } from '../../../tensor/errors.js';
import type { Filter, HostContext, Reward } from '../contract.js';
import type { Sample, ScoredSample } from '../trajectory.js';

/** Rewards and filters that recipes share. */

/** Columns of the samples' problems as arrays; what a problem lacks is null. */
export function columnsOf(samples: readonly Sample[]): Readonly<Record<string, readonly JsonValue[]>> {
  const names = new Set(samples.flatMap((s) => Object.keys(s.trajectory.prompt.columns)));
  return Object.fromEntries([...names].map((name) => [name, samples.map((s) => s.trajectory.prompt.columns[name] ?? null)]));
}

/** Weighted sum of the user's reward functions; null counts as nothing. Segments' own rewards stand at their last tokens. */
export const functionRewards: Reward = {
  name: 'functions',
  score: async (samples, { rewards, note }: HostContext) => {
    if (rewards.length === 0) throw new VitroError('rl: there is no reward function; give at least one in `rewards`');
    const prompts = samples.map((s) => s.trajectory.prompt.text);
    const completions = samples.map((s) => s.trajectory.text);
    const columns = columnsOf(samples);
    const scores = await Promise.all(
      rewards.map(async ({ name, score }) => {
        const values = await score(prompts, completions, columns);
        if (values.length !== samples.length)
          throw new VitroError(`reward ${name} returned ${values.length} values for ${samples.length} completions`);
        const wrong = values.findIndex((v) => v !== null && !Number.isFinite(v));
        if (wrong >= 0)
          throw new VitroError(
            `reward ${name} is ${values[wrong]} for the completion ${JSON.stringify(completions[wrong])}; return a finite number, or null where it does not apply`,
          );
        return values;
      }),
    );
    return samples.map((sample, i): ScoredSample => {
      const own = rewards.map(({ name, weight = 1 }, f) => ({ name, weight, value: scores[f]?.[i] ?? null }));
      if (own.every(({ value }) => value === null)) note('Every reward function returned null for some completions; their reward is 0.');
      const reward = own.reduce((sum, { value, weight }) => sum + (value === null ? 0 : weight * value), 0);
      const list = Object.fromEntries(own.map(({ name, value }) => [name, value]));
      return { ...sample, reward, rewards: list, ...segmentRewards(sample) };
    });
  },
};

/** Rewards of segments at their last tokens, where there are any. */
function segmentRewards({ segments }: Sample): { readonly token_rewards?: Float64Array } {
  if (segments.every((s) => s.reward === undefined)) return {};
  const at = new Float64Array(segments.reduce((n, s) => n + s.tokens.length, 0));
  let end = 0;
  for (const { tokens, reward = 0 } of segments) {
    end += tokens.length;
    at[end - 1] = reward;
  }
  return { token_rewards: at };
}

/**
 * Soft penalty of long completions (Yu et al. 2025, arXiv:2503.14476): with L = max_completion_length, 0 up to L - cache, then linear to -1 at L. `overlong_cache`
 * is cache / L.
 */
export const withOverlong = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+overlong`,
  defaults: { ...inner.defaults, overlong_cache: 0.2, overlong_penalty: 1 },
  score: async (samples, context) => {
    const scored = await inner.score(samples, context.of(inner));
    const most = context.number('max_completion_length');
    const cache = Math.max(1, most * context.number('overlong_cache'));
    return scored.map((sample) => {
      const length = sample.segments.reduce((n, s) => n + s.tokens.length, 0);
      const over = length <= most - cache ? 0 : Math.max(-1, (most - cache - length) / cache);
      const value = context.number('overlong_penalty') * over;
      return { ...sample, reward: sample.reward + value, rewards: { ...sample.rewards, overlong: value } };
    });
  },
});

/** Everything trains. */
export const keepAll: Filter = { name: 'all', keep: ({ samples }) => [...samples.keys()] };

/** Keeps groups whose rewards differ, and samples further problems in place of the others (Yu et al. 2025, arXiv:2503.14476). */
export const dynamicSamplingFilter: Filter = {
  name: 'dynamic-sampling',
  refill: true,
  keep: (batch) => {
    const out: number[] = [];
    for (let g = 0; g < batch.groups; g++) {
      const { start, end } = batch.group(g);
      const first = batch.rewards[start];
      const differ = batch.rewards.subarray(start, end).some((r) => r !== first);
      if (differ) for (let n = start; n < end; n++) out.push(n);
    }
    return out;
  },
};
