import { exp, mul, neg, stopGradient } from '../../../tensor/ops/elementwise.js';
import type { Advantage, Auxiliary, Buffer } from '../contract.js';
import { flatTrajectory, type ScoredSample } from '../trajectory.js';
import { demonstrations, demonstrationText, demonstrationTokens, tokenMean } from './demonstrations.js';
import { functionRewards } from './reward.js';

/** Parts of SRFT (Fu et al. 2025, arXiv:2506.19767): demonstrations as imitation and as members of the groups, both weighed by entropy. */

/**
 * Adds to each group the demonstration of its problem, scored by the user's reward functions. It counts as drawn with probability 1, so the ratio is pi itself.
 */
export const withDemonstrations = (inner: Buffer): Buffer => ({
  ...inner,
  name: `${inner.name}+demonstrations`,
  exchange: async (fresh, context) => {
    const samples = await inner.exchange(fresh, context.of(inner));
    const groups = new Map<string, ScoredSample>();
    for (const s of samples) if (!groups.has(s.group)) groups.set(s.group, s);
    const shown = [...groups].flatMap(
      ([
        group,
        {
          trajectory: { prompt },
        },
      ]) => {
        const text = demonstrationText(prompt);
        if (text === undefined) return [];
        const tokens = demonstrationTokens(text, context);
        const zeros = new Float32Array(tokens.length);
        const trajectory = flatTrajectory({
          prompt,
          context: prompt.tokens,
          tokens,
          logps: zeros,
          entropies: zeros,
          text,
          finish_reason: 'stop',
          notes: { demonstration: true },
        });
        return [{ trajectory, segments: trajectory.segments, group }];
      },
    );
    return shown.length === 0 ? samples : [...samples, ...(await functionRewards.score(shown, context))];
  },
});

/** Positive advantages of the policy's own tokens times rl_weight exp(entropy_scale H), H the entropy before the token when it was drawn. */
export const entropyScaledSuccesses = (inner: Advantage): Advantage => ({
  ...inner,
  name: `entropy-scaled ${inner.name}`,
  defaults: { ...inner.defaults, rl_weight: 0.1, entropy_scale: 1 },
  compute: (batch, context) => {
    const own = inner.compute(batch, context.of(inner));
    const out = own.length === batch.tokens ? own.slice() : batch.spread(own);
    const [weight, scale] = [context.number('rl_weight'), context.number('entropy_scale')];
    for (const [n, { trajectory }] of batch.samples.entries()) {
      if (trajectory.notes.demonstration === true) continue;
      const { start, end } = batch.span(n);
      for (let k = start; k < end; k++) {
        const A = out[k] as number;
        if (A > 0) out[k] = A * weight * Math.exp(scale * (batch.entropy[k] as number));
      }
    }
    return out;
  },
});

/** -sft_weight exp(-entropy_scale H) log pi, a mean over the tokens of the step's demonstrations; H is the entropy before the token, without gradient. */
export const entropyWeightedImitation: Auxiliary = {
  name: 'entropy-weighted-demonstrations',
  defaults: { sft_weight: 0.5, entropy_scale: 1 },
  sequences: (batch, context) => tokenMean(demonstrations(batch, context)),
  loss: ({ policy, knob }) => {
    const weight = mul(knob('sft_weight'), exp(neg(mul(knob('entropy_scale'), stopGradient(policy.entropy())))));
    return { loss: neg(mul(weight, policy.logp)) };
  },
};
