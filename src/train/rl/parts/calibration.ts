import { splitConfidence } from '../../../data/tasks/answer.js';
import { VitroError } from '../../../tensor/errors.js';
import type { Reward } from '../contract.js';

/**
 * r - calibration_coef (q - r)^2 for a completion that ends in its confidence q (`#answer~7`), r being the inner reward in [0, 1] of the completion without it
 * (Damani et al. 2025, arXiv:2507.16806). A completion without a readable confidence gets r - calibration_coef unreadable_penalty.
 */
export const withCalibration = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+calibration`,
  defaults: { ...inner.defaults, calibration_coef: 1, unreadable_penalty: 2 },
  score: async (samples, context) => {
    const said = samples.map((s) => splitConfidence(s.trajectory.text));
    const bare = samples.map((s, i) => ({ ...s, trajectory: { ...s.trajectory, text: said[i]?.text ?? '' } }));
    const scored = await inner.score(bare, context.of(inner));
    const coef = context.number('calibration_coef');
    return scored.map((s, i) => {
      const right = s.reward;
      if (!(right >= 0 && right <= 1))
        throw new VitroError(`calibration needs rewards from 0 to 1, got ${right}; scale the reward functions, or leave rlcr out`);
      const q = said[i]?.confidence ?? null;
      const loss = q === null ? context.number('unreadable_penalty') : (q - right) ** 2;
      if (q !== null) context.metric('confidence', q);
      const { trajectory } = samples[i] as (typeof samples)[number];
      return { ...s, trajectory, reward: right - coef * loss, rewards: { ...s.rewards, brier: q === null ? null : loss } };
    });
  },
});
