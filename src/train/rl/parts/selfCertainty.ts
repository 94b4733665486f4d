import { logSoftmax } from '../../../tensor/ops/activation.js';
import { neg, sub } from '../../../tensor/ops/elementwise.js';
import { mean } from '../../../tensor/ops/reduce.js';
import type { Measure, Reward } from '../contract.js';

/** KL(U || pi) at each token, U uniform over the V tokens of the vocabulary: -1/V sum_v log pi_v - log V, in nats. */
export const certaintyMeasure: Measure = {
  name: 'self-certainty',
  tensor: (policy) => {
    const logits = policy.logits();
    return sub(neg(mean(logSoftmax(logits), { axis: 2 })), Math.log(logits.shape[2] as number));
  },
};

/** The mean of KL(U || pi) over the tokens that the policy chose (Zhao et al. 2025, arXiv:2505.19590). The user's reward functions are not asked. */
export const selfCertainty: Reward = {
  name: 'self-certainty',
  score: async (samples, { policy }) => {
    const segments = samples.flatMap((s) => s.segments);
    const values = await policy.measure(
      segments.map(({ context, tokens }) => ({ context, tokens })),
      certaintyMeasure,
    );
    let at = 0;
    return samples.map((s) => {
      let [sum, count] = [0, 0];
      for (const { actions } of s.segments)
        for (const [t, x] of (values[at++] as Float64Array).entries())
          if (actions[t] === 1) {
            sum += x;
            count++;
          }
      const self_certainty = sum / Math.max(1, count);
      return { ...s, reward: self_certainty, rewards: { self_certainty } };
    });
  },
};
