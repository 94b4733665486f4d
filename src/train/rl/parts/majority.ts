import type { Reward } from '../contract.js';
import { answerDefaults, answerReader, best, placesBy, tally } from './answers.js';

/**
 * 1 where a completion's answer is the one that most completions of its group give, else 0 (Zuo et al. 2025, arXiv:2504.16084). The user's reward
 * functions are not asked. Of equals the answer that came first wins; where nobody answers all rewards are 0.
 */
export const majorityReward: Reward = {
  name: 'majority',
  defaults: answerDefaults,
  score: (samples, { settings, metric }) => {
    const read = answerReader(settings);
    const answers = samples.map((s) => read(s.trajectory.text));
    const rewards = new Float64Array(samples.length);
    for (const places of placesBy(samples, (s) => s.group)) {
      const counts = tally(places.map((i) => answers[i] ?? null));
      const label = best(counts);
      for (const i of places) if (label !== null && answers[i] === label) rewards[i] = 1;
      metric('votes/majority_ratio', label === null ? 0 : (counts.get(label) as number) / places.length);
    }
    return samples.map((s, i) => ({ ...s, reward: rewards[i] as number, rewards: { majority: rewards[i] as number } }));
  },
};
