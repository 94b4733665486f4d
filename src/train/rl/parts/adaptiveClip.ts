import type { MinibatchView, Surrogate } from '../contract.js';
import { ppoClip } from './surrogate.js';

/** The range that a bound of the ratio may move in, and the step that it moves by. */
export interface ClipRange {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

type Tokens = Pick<MinibatchView, 'logp' | 'old_logp' | 'advantage'>;

/**
 * Share of tokens with positive advantage in the size of the clipped loss (Xi et al. 2025, arXiv:2510.18927):
 *   sum_{A > 0} p |min(rho A, clip(rho, 0, high) A)| / sum p |min(rho A, clip(rho, low, high) A)|,   p the probability when the token was drawn
 * 1 where no token has an advantage.
 */
export function positiveShare({ logp, old_logp, advantage }: Tokens, low: number, high: number): number {
  let [positive, negative] = [0, 0];
  for (let k = 0; k < logp.length; k++) {
    const [now, old, a] = [logp[k] as number, old_logp[k] as number, advantage[k] as number];
    const ratio = Math.exp(now - old);
    if (a > 0) positive += Math.exp(old) * a * Math.min(ratio, high);
    else negative -= Math.exp(old) * a * Math.max(ratio, low);
  }
  return positive + negative > 0 ? positive / (positive + negative) : 1;
}

/** Raises the upper bound, and where it is at its end the lower one, until positive tokens have the share `target` of the loss or both are at their ends. */
export function balancedBounds(
  tokens: Tokens,
  low: ClipRange,
  high: ClipRange,
  target: number,
): { low: number; high: number; share: number } {
  let [bottom, top] = [low.start, high.start];
  let share = positiveShare(tokens, bottom, top);
  while (share < target) {
    if (high.step > 0 && top < high.end) top = Math.min(top + high.step, high.end);
    else if (low.step > 0 && bottom < low.end) bottom = Math.min(bottom + low.step, low.end);
    else break;
    share = positiveShare(tokens, bottom, top);
  }
  return { low: bottom, high: top, share };
}

/** PPO's clip with bounds that are searched anew for every minibatch, see balancedBounds. Settings are bounds of the ratio itself. */
export const adaptiveClip: Surrogate = {
  ...ppoClip,
  name: 'adaptive-clip',
  defaults: {
    delta: 0,
    clip_low: 0.6,
    clip_low_max: 0.9,
    clip_low_step: 0.02,
    clip_high: 1.2,
    clip_high_max: 3,
    clip_high_step: 0.05,
    positive_share: 0.4,
  },
  stage: (view, context) => {
    const range = (name: string): ClipRange => ({
      start: context.number(name),
      end: context.number(`${name}_max`),
      step: context.number(`${name}_step`),
    });
    const { low, high, share } = balancedBounds(view, range('clip_low'), range('clip_high'), context.number('positive_share'));
    context.metric('bapo/clip_low', low);
    context.metric('bapo/clip_high', high);
    context.metric('bapo/positive_share', share);
    return { knobs: { epsilon: 1 - low, epsilon_high: high - 1 } };
  },
};
